// What the live test reads out of expressions.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { interpolated, mark, parts } from './queries.mjs';

it('takes an alert apart at its comparisons and set operators', () => {
  for (const [expr, wanted] of [
    ['a > 5', ['a']],
    ['a > 14.4 * 0.005 and b > (2 * 3) and sum by (job) (increase(c[1h])) >= 5', ['a', 'b', 'sum by (job) (increase(c[1h]))']],
    ['up{x=" > 1 and"} == 0 unless on (job, instance) last_over_time(d[30m]) == 1', ['up{x=" > 1 and"}', 'last_over_time(d[30m])']],
    ['(a / b) > on (job) group_left () 2 * c', ['a / b', '2 * c']],
    ['absent(e{job="x"})', ['e{job="x"}']],
    ['(a > 0) * (b or c)', ['(a > 0) * (b or c)']],
    ['a < 0.1 * (f offset 1w)', ['a', '0.1 * (f)']],
    ['vector(1)', ['vector(1)']],
    ['time() - (a > 0 or b) > 120', ['time() - (a > 0 or b)']],
  ]) assert.deepEqual(parts(expr), wanted, expr);
});

it('fills in the variables of a board, and no others', () => {
  assert.equal(interpolated('rate(a{job=~"$job", instance=~"${instance:regex}"}[$__rate_interval])', 60), 'rate(a{job=~"signalbox", instance=~".*"}[15s])');
  assert.equal(interpolated('label_replace(increase(a[$__range]), "b", "$1", "c", "$other") offset 1w', 60), 'label_replace(increase(a[60s]), "b", "$1", "c", "$other")');
});

it('knows how a fault must show', () => {
  for (const [expr, shown, hidden] of [
    ['sum(rate(signalbox_scan_flows_total{outcome=~"relay_failed|storage_failed|shed"}[15s]))', [0, 2], [0, 0]],
    ['sum(rate(signalbox_log_lines_dropped_total[15s]))', [1], [0]],
    ['sum(rate(x_total{result!~"ok|error"}[15s]))', [1], [0]],
    ['sum(rate(x_total{result="conflict"}[15s])) / sum(rate(x_total[15s]))', [0.5], [0]],
    ['1 - sum(increase(a{outcome="failed"}[60s])) / sum(increase(a[60s]))', [1, 0.9], [1, 1]],
    ['sum(rate(x_total{result="blocked"}[15s]))', [0, 1], [0]],
    ['max by (instance) (signalbox_blocked_addresses{job="x"})', [0, 1], [0]],
    ['max(signalbox_gpt_breaker_open)', [1], [0, 0]],
    ['max(a) < bool 30', [1, 0], [1, 1]],
    ['min(up{job="x"})', [1, 0], [1, 1]],
  ]) {
    assert.equal(mark(expr)(shown), true, expr);
    assert.equal(mark(expr)(hidden), false, expr);
  }
  for (const expr of ['sum(rate(signalbox_scan_flows_total{outcome="sent"}[15s]))', 'sum(up)', 'sum(signalbox_gpt_queue_depth)', 'rate(signalbox_webrtc_signals_total{kind="offer"}[15s])']) {
    assert.equal(mark(expr), undefined, expr);
  }
});
