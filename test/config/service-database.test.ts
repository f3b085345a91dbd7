/** The service's process with a real PostgreSQL: its products, and what becomes of both when the database goes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { pending, ready, waitFor } from '#kit/wait'
import { HttpError } from '../../service/http.ts'
import { PostgresStore } from '../../service/postgres-store.ts'
import { assert, suite } from '../suite.ts'
import { PASSWORD, type ServiceRun, startRun } from '../unit/store-fixture.ts'
import { createPostgres, findPostgres, type Postgres } from './postgres-fixture.ts'

const test = suite('service with a database')

const TESTS: Readonly<Record<string, (postgres: Postgres) => Promise<void>>> = {
  'the products come from the database, which has the last word': async (postgres) => {
    const service = startService(await newDatabase(postgres, 'prices'))
    await service.until(200)
    const { body } = await service.get('/api/products')
    assert.equal(body, [
      { id: 1, name: 'Anchor', price: 49.99 },
      { id: 2, name: 'Hawser', price: 99.99 },
      { id: 3, name: 'Windlass', price: 149.99 },
    ])
    await postgres.sql("UPDATE products SET price = 0.1 WHERE name = 'Anchor'", 'prices')
    assert.equal((await service.get('/api/products?limit=1')).body, [{ id: 1, name: 'Anchor', price: 0.1 }])
    assert.is(await service.stop(), 0)
    const next = startService(postgres.url('prices'))
    await next.until(200)
    assert.equal((await next.get('/api/products?limit=1')).body, [{ id: 1, name: 'Anchor', price: 0.1 }])
    assert.is(await next.stop(), 0)
    const left = async () => {
      const rows = await postgres.sql("SELECT state FROM pg_stat_activity WHERE application_name = 'service'")
      return rows.length === 0 ? ready(undefined) : pending(JSON.stringify(rows))
    }
    await waitFor('its connections to end', left, { timeoutMs: 1_000, everyMs: 20 })
  },

  'a database that stops makes 503 and not ready, and its return 200 and ready, without an end of the process': async (postgres) => {
    const service = startService(await newDatabase(postgres, 'outage'))
    await service.until(200)
    await postgres.stop()
    await service.until(503, 2_000)
    assert.equal(await service.get('/api/products'), { status: 503, body: { error: 'The database does not answer' } })
    assert.equal(await service.get('/ready'), { status: 503, body: { status: 'waiting' } })
    assert.is((await service.get('/health')).status, 200)
    await postgres.start()
    await service.until(200, 5_000)
    assert.is((await service.get('/api/products')).status, 200)
    assert.is(await service.stop(), 0)
  },

  'connections that are killed under load cost 503s at most, and come back': async (postgres) => {
    const service = startService(await newDatabase(postgres, 'killed'))
    await service.until(200)
    const seen = new Map<number, number>()
    let isOver = false
    const client = async () => {
      while (!isOver) {
        const { status } = await service.get('/api/products')
        seen.set(status, (seen.get(status) ?? 0) + 1)
        await sleep(5) // a refusal comes at once: without a rest they would be all that is seen
      }
    }
    const killer = async () => {
      for (let i = 0; i < 10; i++) {
        await postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'service'")
        await sleep(100)
      }
      isOver = true
    }
    await Promise.all([killer(), ...Array.from({ length: 8 }, client)])
    assert.equal(
      [...seen.keys()].filter((status) => status !== 200 && status !== 503),
      [],
    )
    for (const status of [200, 503]) assert.ok((seen.get(status) ?? 0) > 0, `statuses: ${JSON.stringify([...seen])}`)
    await service.until(200, 2_000)
    assert.match(service.said(), 'a connection to the database was lost')
    assert.is(await service.stop(), 0)
  },

  'a server that falls silent is not waited for': async (postgres) => {
    const service = startService(await newDatabase(postgres, 'silent'))
    await service.until(200)
    const resume = await postgres.pause()
    try {
      const startedMs = performance.now()
      assert.is((await service.get('/api/products')).status, 503)
      assert.ok(performance.now() - startedMs < 3_000)
      await service.until(503, 3_000)
      assert.is(await service.stop(), 0)
    } finally {
      resume()
    }
  },

  'stores that start at once on an empty database make three rows': async (postgres) => {
    const url = await newDatabase(postgres, 'at_once')
    const stores = Array.from({ length: 6 }, () => new PostgresStore({ url, log: () => {} }))
    await waitFor('all to be ready', async () => (stores.every((store) => store.isReady()) ? ready(undefined) : pending('no')), {
      timeoutMs: 5_000,
      everyMs: 20,
    })
    await Promise.all(stores.map((store) => store.close()))
    assert.equal(await postgres.sql('SELECT count(*)::int AS rows FROM products', 'at_once'), [{ rows: 3 }])
  },

  'a wrong password is no crash, and no log holds it': async (postgres) => {
    const lines: string[] = []
    const url = (await newDatabase(postgres, 'refused')).replace(PASSWORD, `${PASSWORD}-wrong`)
    const store = new PostgresStore({ url, log: (...line) => lines.push(JSON.stringify(line)) })
    await waitFor('a line', async () => (lines.length > 0 ? ready(undefined) : pending('no')), { timeoutMs: 2_000, everyMs: 20 })
    const error = await assert.rejects(store.listProducts(1), 'The database does not answer')
    assert.is((error as HttpError).status, 503)
    await store.close()
    assert.match(lines.join('\n'), /password authentication failed for user/)
    assert.not.match(lines.join('\n'), PASSWORD)
  },

  'a bug in what is asked is none of the database: it is thrown as it is': async (postgres) => {
    const store = new PostgresStore({ url: await newDatabase(postgres, 'bug'), log: () => {} })
    await waitFor('the store', async () => (store.isReady() ? ready(undefined) : pending('no')), { timeoutMs: 2_000, everyMs: 20 })
    await postgres.sql('ALTER TABLE products RENAME price TO cost', 'bug')
    const error = await assert.rejects(store.listProducts(1), 'column "price" does not exist')
    assert.not.ok(error instanceof HttpError)
    assert.ok(store.isReady())
    await store.close()
  },
}

const binaries = await findPostgres()
if (binaries === undefined) {
  for (const name of Object.keys(TESTS)) test.skip(name, 'PostgreSQL (initdb) is not installed')
} else {
  const postgres = await createPostgres(binaries)
  test.after(() => postgres.remove())
  for (const [name, body] of Object.entries(TESTS)) test(name, () => body(postgres))
}

async function newDatabase(postgres: Postgres, name: string): Promise<string> {
  await postgres.sql(`CREATE DATABASE ${name}`)
  return postgres.url(name)
}

/** Its end checks that nothing of what it said holds the password. */
function startService(databaseUrl: string) {
  const service: ServiceRun = startRun(databaseUrl)
  return {
    ...service,
    async until(status: number, timeoutMs = 5_000): Promise<void> {
      const look = async () => {
        const answer = await service.get('/ready')
        return answer.status === status ? ready(undefined) : pending(JSON.stringify(answer))
      }
      await waitFor(`/ready to answer ${status}`, look, { timeoutMs, everyMs: 20 })
    },
    async stop(): Promise<number> {
      const code = await service.stop()
      assert.not.match(service.said(), PASSWORD)
      return code
    },
  }
}

test.run()
