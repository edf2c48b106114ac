//! Catching up: a monitor that has seen nothing joins a session in which much was scanned. How long until it
//! has been sent everything that is kept.
use crate::client::{first_arg, send, Client, In};
use crate::proc::{host_json, now_ns, r3, server_json};
use crate::{hist, hist_json, sleep, Ctx, STOPPING};
use serde::Deserialize;
use serde_json::{json, Value};
use std::rc::Rc;

#[derive(clap::Args, Clone)]
pub struct Opts {
    /// Scans that are missed
    #[arg(long, default_value_t = 500)]
    pub scans: usize,
    /// Monitors that catch up, one after the other
    #[arg(long, default_value_t = 50)]
    pub repeat: usize,
}

#[derive(Deserialize)]
struct Place {
    seq: u64,
    #[serde(default)]
    replayed: bool,
}

/// One monitor: from its joinSession to the last of the scans, in ns, and how many came out of place.
async fn catch_up(ctx: &Ctx, session: &str, i: usize, scans: usize) -> Result<(u64, u64), String> {
    let mut c = Client::connect(&ctx.target, &format!("late-{}-{i}", ctx.run), "monitor").await?;
    c.register("monitor").await?;
    let began = now_ns();
    send(&c.out, &format!("42[\"joinSession\",{{\"sessionId\":\"{session}\",\"lastSeq\":0}}]"));
    let (mut next, mut wrong) = (1, 0);
    let last = c.wait("replay", |m| {
        let In::Event { name: "navigate", args } = m else { return None };
        match first_arg::<Place>(args) {
            Some(p) if p.seq == next && p.replayed => {}
            _ => wrong += 1,
        }
        next += 1;
        (next > scans as u64).then(now_ns)
    });
    let last = tokio::time::timeout(ctx.target.timeout, last).await.map_err(|_| "replay: not all of it".to_string())??;
    c.close().await;
    Ok((last - began, wrong))
}

pub async fn run(ctx: Rc<Ctx>, o: Opts) -> Value {
    let session = format!("replay-{}", ctx.run);
    let params = json!({ "scans": o.scans, "repeat": o.repeat });
    let fail = |why: String| json!({ "workload": "replay", "label": ctx.c.label, "params": params, "error": why });
    let filled = async {
        let mut phone = Client::connect(&ctx.target, &format!("phone-{}", ctx.run), "mobile").await?;
        phone.register("mobile").await?;
        phone.join_session(&session).await?;
        for n in 0..o.scans {
            let nonce = format!("{n:016x}");
            let scan = format!("{{\"sessionId\":\"{session}\",\"orderNo\":\"ORD-{n:08}\",\"ts\":{n},\"nonce\":\"{nonce}\"}}");
            send(&phone.out, &format!("427[\"scanOrder\",{scan}]"));
            phone.wait("scan", |m| matches!(m, In::Ack { id: 7, .. }).then_some(())).await?;
        }
        phone.close().await;
        Ok::<_, String>(())
    };
    if let Err(why) = filled.await {
        return fail(why);
    }
    sleep(0.5).await;
    let (a, me_a) = (ctx.sample(), ctx.me());
    let (mut took, mut reordered, mut failed) = (hist(), 0, 0);
    for i in 0..o.repeat {
        match catch_up(&ctx, &session, i, o.scans).await {
            Ok((ns, wrong)) => {
                let _ = took.record(ns / 1000);
                reordered += wrong;
            }
            Err(why) => {
                failed += 1;
                ctx.failures.add(why);
            }
        }
    }
    let (b, me_b) = (ctx.sample(), ctx.me());
    STOPPING.with(|s| s.set(true));
    json!({
        "workload": "replay", "label": ctx.c.label, "params": params,
        "replay_us": hist_json(&took), "cpu_us_per_replay": r3((b.cpu_us - a.cpu_us) / o.repeat as f64),
        "check": { "reordered": reordered, "failed": failed },
        "server": server_json(&a, &b), "host": host_json(&a, &b, &me_a, &me_b), "net": ctx.net_json(),
    })
}
