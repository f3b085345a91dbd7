/** What the probes' thread runs. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ProbeThreadData {
  readonly host: string
  readonly port: number
  readonly environment: string
  readonly heartbeatLimitMs: number
  /** Two BigInt64: the last heartbeat by the monotonic clock, in ns, and an index of `phases`. */
  readonly shared: SharedArrayBuffer
  readonly phases: readonly string[]
}

/**
 * Listens, and posts `{port}` or `{error}`. It is read as text and run in the thread: it can use nothing outside itself,
 * not even an import.
 */
export function serveProbes(): void {
  const { createServer } = process.getBuiltinModule('node:http')
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads')
  const { host, port, environment, heartbeatLimitMs, shared, phases } = workerData as ProbeThreadData
  const memory = new BigInt64Array(shared)

  function statusNow(): string | undefined {
    const ageMs = Number(process.hrtime.bigint() - Atomics.load(memory, 0)) / 1e6
    return ageMs < heartbeatLimitMs ? phases[Number(Atomics.load(memory, 1))] : 'unresponsive'
  }

  function answer(path: string | undefined): [status: number, body: object] {
    const status = statusNow()
    if (path === '/ready') return [status === 'ready' ? 200 : 503, { status }]
    if (path !== '/health') return [404, { error: 'Not found' }]
    return status === 'unresponsive' ? [503, { status }] : [200, { status: 'healthy', environment }]
  }

  function handle(req: IncomingMessage, res: ServerResponse): void {
    const [status, body] = answer(req.url)
    const text = JSON.stringify(body)
    const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) }
    // The kubelet opens a connection for each probe.
    res.writeHead(status, { ...headers, 'cache-control': 'no-store', connection: 'close' }).end(text)
  }

  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, handle)
  // An error that is posted as it is arrives without its code.
  server.once('error', ({ message, code }: NodeJS.ErrnoException) => parentPort?.postMessage({ error: { message, code } }))
  server.listen(port, host, () => parentPort?.postMessage({ port: (server.address() as AddressInfo).port }))
}
