/** What the program says of itself. Its settings are variables of the environment, as a container has them. */

export const HELP = `Usage: npm run service

Serves the API on 127.0.0.1 until SIGTERM or Ctrl-C, which drain it. Its settings are variables of the environment:

  HOST                  where it listens (127.0.0.1)
  PORT                  the API (8080)
  METRICS_HOST          where /metrics is (HOST)
  METRICS_PORT          its port (9464)
  PROBES_HOST           where the probes are (HOST)
  PROBES_PORT           their port (8081)
  HEARTBEAT_LIMIT_MS    without a beat of the main loop for so long the probes fail (10000)
  DATABASE_URL          where the products are: postgres://user:password@host:port/database (in memory)
  ENV                   the environment's name (development)
  VERSION               answered as x-version (unknown)
  HOSTNAME              answered as x-pod (local)
  FAULTS                on: requests, and the metrics port, may ask for faults (off)
  LOG_REQUESTS          off: only requests that fail are logged (on)
  OTEL_SERVICE_NAME     the name in spans (service)
  OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
                        where spans go: http://collector:4318 (nowhere)
  DRAIN_MS              how long it still accepts after the signal (0)
  STOP_MS               how long requests in flight may then take (8000)

Example: PORT=8090 FAULTS=on npm run service
`
