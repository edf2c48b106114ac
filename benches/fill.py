#!/usr/bin/env python3
"""Puts rows into a ledger that a server has made: fill.py signalbox.db ROWS. 500 scans a session, an hour old."""
import datetime
import sqlite3
import sys

path, rows = sys.argv[1], int(sys.argv[2])
at = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)).strftime('%Y-%m-%d %H:%M:%S.%f+00:00')
navigate = '{"orderNo":"ORD-00000-00000000","ts":1761100000123,"nonce":"%016x","from":"mobile","fromSocketId":"AAAAAAAAAAAAAAAA","traceparent":"00-00000000000000000000000000000001-0000000000000001-00"}'


def scans(first):
    for n in range(rows):
        yield first + n, f'old-{n // 500}', n % 500 + 1, first + n - 1 if n % 500 else 0, f'u{n // 500}', f'{n:016x}', 'ORD-00000-00000000', navigate % n, at


db = sqlite3.connect(path)
db.execute('PRAGMA synchronous = OFF')
with db:
    # The canary was first.
    first = db.execute('SELECT coalesce(max(last), 0) + 1 FROM scan_sessions').fetchone()[0]
    db.executemany('INSERT INTO scans (id, session, seq, previous, user_id, nonce, order_no, navigate, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)', scans(first))
    sessions = ((f'old-{n}', min(500, rows - n * 500), first + min((n + 1) * 500, rows) - 1) for n in range((rows + 499) // 500))
    db.executemany('INSERT INTO scan_sessions (session, seq, seen, last) VALUES (?1, ?2, ?2, ?3)', sessions)
db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
db.close()
