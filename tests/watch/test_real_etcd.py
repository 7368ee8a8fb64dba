"""A watch on a real etcd. What it must not miss, what it must not tell, and how soon it tells."""

import os
import statistics

from etcd import FAILOVER, LEADER, SWITCHOVER, now, url
from processes import wait_until

TLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "tls")
PLAIN = f"{{etcd: ['{url()}']}}"


def test_leaders_and_switchovers_are_told_as_they_come(etcd, make_printer):
    etcd.put(LEADER, "pg1")
    printer = make_printer(PLAIN)
    printer.wait_told("leader pg1")
    printer.wait_connected()
    etcd.put(LEADER, "pg1")  # Patroni 3.0.2 does so each turn
    first = etcd.put(FAILOVER, SWITCHOVER)
    etcd.delete(LEADER)
    etcd.put(LEADER, "pg2")
    etcd.put(FAILOVER, "{}")
    second = etcd.put(FAILOVER, '{"leader":"pg2","scheduled_at":"2026-11-22T19:00:00+00:00"}')
    etcd.delete(FAILOVER)
    printer.wait_told("leader pg1", f"switchover {first} pg1>pg2 @now", "leader ", "leader pg2", f"over {first}",
                      f"switchover {second} pg2> @1795374000", f"over {second}")
    assert printer.end() == 0


def test_news_comes_within_milliseconds(etcd, make_printer, measured):
    printer = make_printer(PLAIN)
    printer.wait_connected()
    since_sent, since_done = [], []
    for turn in range(50):
        sent = now()
        etcd.put(LEADER, f"pg{turn}")
        done = now()
        told = printer.at(f"leader pg{turn}")
        since_sent.append((told - sent) * 1000)
        since_done.append((told - done) * 1000)
    measured(f"ms from the put's return to the telling: median {statistics.median(since_done):.2f}, worst {max(since_done):.2f}; "
             f"from its sending: median {statistics.median(since_sent):.2f}, worst {max(since_sent):.2f}")
    assert statistics.median(since_done) < 20


def test_silence_costs_nothing(etcd, make_printer, measured):
    printer = make_printer(PLAIN, check=1000)
    printer.wait_connected()
    before, began = printer.cpu_seconds(), now()
    wait_until(lambda: now() - began >= 5, 10, "5 s are over")  # a time is what is measured
    used = printer.cpu_seconds() - before
    measured(f"{used / 5 * 1e6:.0f} µs of CPU a second, with a read each second (it is each 10 s in earnest)")
    assert used < 0.05
    assert printer.state()["reconnects"] == "0"


def test_a_killed_etcd_is_found_again_and_only_news_is_told(etcd, make_printer, measured):
    etcd.put(LEADER, "pg1")
    first = etcd.put(FAILOVER, SWITCHOVER)
    printer = make_printer(PLAIN)
    printer.wait_told("leader pg1", f"switchover {first} pg1>pg2 @now")
    printer.wait_connected()
    etcd.stop()
    printer.wait_trouble("")
    wait_until(lambda: printer.state()["connected"] == "false", 5, "the loss is known")
    etcd.start(port=2389)  # where the watch does not look
    etcd.put(LEADER, "pg2")
    etcd.put(LEADER, "pg1")
    etcd.put(FAILOVER, "{}")
    etcd.stop()
    etcd.start()
    back = now()
    printer.wait_connected(reconnects=1)
    measured(f"connected again {now() - back:.2f} s after etcd answered again")
    printer.wait_told("leader pg1", f"switchover {first} pg1>pg2 @now", f"over {first}")
    etcd.put(LEADER, "pg3")
    printer.wait_told("leader pg1", f"switchover {first} pg1>pg2 @now", f"over {first}", "leader pg3")
    assert printer.log().count("no watch on") == 1


def test_what_was_compacted_while_there_was_no_connection_is_not_missed(etcd, make_printer):
    etcd.put(LEADER, "pg1")
    printer = make_printer(PLAIN)
    printer.wait_connected()
    etcd.stop()
    etcd.start(port=2389)
    for turn in range(20):
        etcd.put(FAILOVER, "{}")
    last = etcd.put(LEADER, "pg2")
    etcd.compact(last)
    etcd.stop()
    etcd.start()
    printer.wait_connected(reconnects=1)
    printer.wait_told("leader pg1", "leader pg2")
    etcd.compact(etcd.put(LEADER, "pg3"))  # under a watch that stands
    etcd.put(LEADER, "pg4")
    printer.wait_told("leader pg1", "leader pg2", "leader pg3", "leader pg4")


def test_a_frozen_etcd_is_found_out(etcd, make_printer, measured):
    printer = make_printer(PLAIN, check=500, answer=500)
    printer.wait_connected()
    frozen = now()
    etcd.freeze()
    wait_until(lambda: printer.state()["connected"] == "false", 5, "the freeze is known")
    measured(f"after {now() - frozen:.2f} s, with a read each 0.5 s that may take 0.5 s")
    etcd.thaw()
    etcd.put(LEADER, "pg1")
    printer.wait_told("leader pg1")


def test_a_user_gets_in_with_the_password_and_outlives_tokens(etcd, folder, make_printer):
    etcd.put(LEADER, "pg1")
    etcd.stop()
    etcd.start("--auth-token-ttl", "1")
    etcd.enable_auth()
    with open(f"{folder}/password", "w") as file:
        file.write("wrong\n")
    printer = make_printer(f"{{etcd: ['{url()}'], username: reader, password_file: {folder}/password}}", check=1500)
    printer.wait_trouble("the log-in is refused: HTTP 400, etcdserver: authentication failed")
    with open(f"{folder}/password", "w") as file:
        file.write("read it\n")
    printer.wait_told("leader pg1")
    printer.wait_connected()
    began = now()
    wait_until(lambda: now() - began > 4, 10, "two reads with a token that is over")  # tokens live for 1 s
    etcd.log_in("root", "root")
    etcd.put(LEADER, "pg2")
    printer.wait_told("leader pg1", "leader pg2")
    assert printer.state()["reconnects"] == "0"
    etcd.log_in("root", "root")
    etcd.need("/v3/auth/user/add", {"name": "another", "password": "x"})  # tokens from before it are of an older revision
    etcd.stop()
    etcd.start("--auth-token-ttl", "1")
    printer.wait_connected(reconnects=1)
    etcd.log_in("root", "root")
    etcd.put(LEADER, "pg3")
    printer.wait_told("leader pg1", "leader pg2", "leader pg3")


def test_a_user_who_may_not_read_is_told_so(etcd, folder, make_printer):
    etcd.enable_auth()
    with open(f"{folder}/password", "w") as file:
        file.write("read it\n")
    printer = make_printer(f"{{etcd: ['{url()}'], namespace: /other, username: reader, password_file: {folder}/password}}")
    printer.wait_trouble("HTTP 403, etcdserver: permission denied")


def test_no_user_where_one_is_needed_is_told_so(etcd, make_printer):
    etcd.enable_auth()
    printer = make_printer(PLAIN)
    printer.wait_trouble("HTTP 400, etcdserver: user name is empty")


def test_a_client_certificate_opens_the_door(folder, etcd, make_printer):
    etcd.stop()
    etcd.start(tls=TLS)
    etcd.put(LEADER, "pg1")
    keys = f"cert: {TLS}/client.pem, key: {TLS}/client.key, key_password_file: {TLS}/client.password"
    printer = make_printer(f"{{etcd: ['{url('https')}'], tls: {{ca: {TLS}/ca.pem, server_name: pg1.example, {keys}}}}}")
    printer.wait_told("leader pg1")
    printer.wait_connected()
    etcd.put(LEADER, "pg2")
    printer.wait_told("leader pg1", "leader pg2")
    printer.end()
    without = make_printer(f"{{etcd: ['{url('https')}'], tls: {{ca: {TLS}/ca.pem, server_name: pg1.example}}}}")
    wait_until(lambda: "certificate" in without.state().get("trouble", ""), 10, f"the lack is told: {without.lines}")
    assert without.told() == []
