<?php
// Writes as a WordPress with PostgreSQL does: DB_HOST is "127.0.0.1:5432", pg_connect, one connection kept until it fails.
// php pg_client.php DB_HOST SECONDS -> one JSON object: ok, errors, reconnects, longest_gap_ms, servers, first_error

error_reporting(E_ALL & ~E_WARNING);
[$host, $port] = explode(':', $argv[1]);
$end = hrtime(true) + (int)((float)$argv[2] * 1e9);
$ok = $errors = $reconnects = 0;
$longest = 0;
$last = hrtime(true);
$servers = [];
$first_error = null;
$database = false;
while (hrtime(true) < $end) {
    if ($database === false) {
        $database = pg_connect("host=$host port=$port dbname=app user=app connect_timeout=5 sslmode=disable",
            PGSQL_CONNECT_FORCE_NEW);
        if ($database !== false) {
            $reconnects++;
        }
    }
    $result = $database === false ? false : pg_query_params($database,
        "INSERT INTO php_writes (client, server) VALUES ($1, host(inet_server_addr())) RETURNING server", ['pg']);
    if ($result !== false) {
        $server = pg_fetch_result($result, 0, 0);
        $servers[$server] = ($servers[$server] ?? 0) + 1;
        $ok++;
        $longest = max($longest, hrtime(true) - $last);
        $last = hrtime(true);
    } else {
        $errors++;
        $first_error ??= $database === false ? (error_get_last()['message'] ?? 'no connection') : pg_last_error($database);
        if ($database !== false) {
            pg_close($database);
        }
        $database = false;
    }
    usleep(10000);
}
echo json_encode(['ok' => $ok, 'errors' => $errors, 'reconnects' => $reconnects - 1,
    'longest_gap_ms' => intdiv($longest, 1000000), 'ended_ok' => hrtime(true) - $last < 1000000000,
    'servers' => $servers, 'first_error' => $first_error]), "\n";
