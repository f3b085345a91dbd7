/** A proxy, as the environment names it. */
import { createServer } from 'node:http'

/** What is asked of a proxy that refuses all, which the environment names. */
export async function askedOfProxy(work: () => Promise<void>): Promise<string[]> {
  const asked: string[] = []
  const proxy = createServer()
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  const address = proxy.address()
  try {
    await withProxy(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`, work)
    return asked
  } finally {
    await new Promise((done) => proxy.close(done))
  }
}

/** With the environment naming this proxy. */
export async function withProxy(proxy: string, work: () => Promise<void>): Promise<void> {
  const before = process.env.https_proxy
  process.env.https_proxy = proxy
  try {
    await work()
  } finally {
    if (before === undefined) delete process.env.https_proxy
    else process.env.https_proxy = before
  }
}
