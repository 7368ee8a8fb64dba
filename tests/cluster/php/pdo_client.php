<?php
// Writes as Magento does: PDO with exceptions, not persistent, one connection kept until it fails, then a new one.
// php pdo_client.php HOST PORT SECONDS -> one JSON object: ok, errors, reconnects, longest_gap_ms, servers, first_error

[$host, $port, $seconds] = [$argv[1], (int)$argv[2], (float)$argv[3]];
$end = hrtime(true) + (int)($seconds * 1e9);
$ok = $errors = $reconnects = 0;
$longest = 0;
$last = hrtime(true);
$servers = [];
$first_error = null;
$database = null;
while (hrtime(true) < $end) {
    try {
        if ($database === null) {
            $database = new PDO("pgsql:host=$host;port=$port;dbname=app;connect_timeout=5;sslmode=disable", 'app', null, [
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_PERSISTENT => false,
            ]);
            $reconnects++;
        }
        $database->beginTransaction();
        $statement = $database->prepare(
            "INSERT INTO php_writes (client, server) VALUES (?, host(inet_server_addr())) RETURNING server");
        $statement->execute(['pdo']);
        $server = $statement->fetchColumn();
        $database->commit();
        $servers[$server] = ($servers[$server] ?? 0) + 1;
        $ok++;
        $longest = max($longest, hrtime(true) - $last);
        $last = hrtime(true);
    } catch (PDOException $error) {
        $errors++;
        $first_error ??= $error->getMessage();
        $statement = null;
        $database = null;
    }
    usleep(10000);
}
echo json_encode(['ok' => $ok, 'errors' => $errors, 'reconnects' => $reconnects - 1,
    'longest_gap_ms' => intdiv($longest, 1000000), 'ended_ok' => hrtime(true) - $last < 1000000000,
    'servers' => $servers, 'first_error' => $first_error]), "\n";
