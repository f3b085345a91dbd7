/** The service's store without a database: what is malformed, what is not there, what never answers. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pending, ready, waitFor } from '#kit/wait'
import { createApp } from '../../service/app.ts'
import type { HttpError } from '../../service/http.ts'
import { PostgresStore } from '../../service/postgres-store.ts'
import { createMemoryStore, type Store } from '../../service/store.ts'
import { assert, suite } from '../suite.ts'
import { PASSWORD, startRun } from './store-fixture.ts'

const test = suite('service store')

test('createMemoryStore() has three products, and is always ready', async () => {
  const store = createMemoryStore()
  assert.equal(
    (await store.listProducts(100)).map(({ name }) => name),
    ['Anchor', 'Hawser', 'Windlass'],
  )
  assert.is((await store.listProducts(2)).length, 2)
  assert.ok(store.isReady())
  await store.close()
})

test('an app is ready only while its store is, and waits meanwhile; a drain is a drain', async () => {
  let answers = false
  const store: Store = { ...createMemoryStore(), isReady: () => answers }
  const app = createApp({ store })
  const seen: string[] = []
  const look = async () => {
    const { status } = await app.fetch(new Request('http://test.local/ready'))
    seen.push(`${app.phase} ${status}`)
  }
  await look()
  app.start()
  await look()
  answers = true
  await look()
  answers = false
  await look()
  app.drain()
  await look()
  assert.equal(seen, ['starting 503', 'waiting 503', 'ready 200', 'waiting 503', 'draining 503'])
})

test('run() gives 2 and one sentence without the password for an address that is none', async () => {
  const start = 'Cannot start the service: DATABASE_URL'
  const expected = `${start} is not the address of a database, expected postgres://user:password@host:port/database\n`
  const malformed = [
    PASSWORD,
    `mysql://me:${PASSWORD}@db/shop`,
    `postgres://me:${PASSWORD}@db`,
    `postgres://me:${PASSWORD}@db/`,
    `postgres://:${PASSWORD}@db/shop`,
    `postgres://me:${PASSWORD}@db:99999/shop`,
    `postgres://me:${PASSWORD}@/shop`,
    `postgres://me:x@${PASSWORD}/y@db/shop`,
    `postgres://me:1#${PASSWORD}@db/shop`,
  ]
  for (const url of malformed) assert.equal(await runOnce(url), { code: 2, said: expected }, url)
  const noFile = await runOnce(`postgres://me:${PASSWORD}@db/shop?sslmode=verify-full&sslrootcert=/nowhere/ca.pem`)
  assert.equal(noFile, { code: 2, said: `${start} cannot be used: ENOENT: no such file or directory, open '/nowhere/ca.pem'\n` })
  const notDecodable = await runOnce(`postgres://me:${PASSWORD}%ff@db/shop`)
  assert.equal(notDecodable, { code: 2, said: `${start} cannot be used: URI malformed\n` })
})

test('run() lives without its database: it answers, is not ready, says so once and drains', async () => {
  const { port, server } = await listening()
  server.close()
  await once(server, 'close')
  const { said, get, stop } = startRun(`postgres://me:${PASSWORD}@127.0.0.1:${port}/shop`)
  assert.equal(await get('/api/products'), { status: 503, body: { error: 'The database does not answer' } })
  assert.equal(await get('/ready'), { status: 503, body: { status: 'waiting' } })
  assert.is((await get('/health')).status, 200)
  const saysSo = async () => (said().includes('ECONNREFUSED') ? ready(undefined) : pending(said()))
  await waitFor('the log', saysSo, { timeoutMs: 2_000, everyMs: 20 })
  await sleep(600)
  assert.is(said().match(/ECONNREFUSED/g)?.length, 1)
  assert.is(await stop(), 0)
  assert.not.match(said(), PASSWORD)
})

test('a store whose server never says a word is not ready, refuses at once, and closes in time', async () => {
  const { port, server } = await listening()
  const store = new PostgresStore({ url: `postgres://me:${PASSWORD}@127.0.0.1:${port}/shop`, log: () => {} })
  const error = await assert.rejects(store.listProducts(1), 'The database does not answer')
  assert.is((error as HttpError).status, 503)
  assert.not.ok(store.isReady())
  const startedMs = performance.now()
  await store.close()
  assert.ok(performance.now() - startedMs < 1_500)
  server.close()
})

/** The end of a process that should not start. */
async function runOnce(url: string): Promise<{ code: number; said: string }> {
  const { code, said } = startRun(url)
  return { code: await code, said: said() }
}

/** Accepts connections, and no more than that. */
async function listening(): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, server }
}

test.run()
