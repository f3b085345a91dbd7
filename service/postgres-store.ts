/** Products in PostgreSQL. The database may come later than the process, go away and come back: the process lives on. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { HttpError } from './http.ts'
import type { Log } from './log.ts'
import { PRODUCTS, type Product } from './products.ts'
import { SettingsError } from './settings.ts'
import type { Store } from './store.ts'

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string
  /** Told when the database is lost and when it answers again. */
  readonly log: Log
}

/** `doubtful`: a connection broke, and whether the database is gone is being found out. Requests still try it then. */
type State = 'up' | 'doubtful' | 'down'

const CONNECTIONS = {
  max: 4,
  application_name: 'service',
  // How long a request waits for a connection, old or new.
  connectionTimeoutMillis: 2_000,
  // The server's own limit, then ours, for a server that has gone without a word.
  statement_timeout: 1_500,
  query_timeout: 2_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
}
const CHECK_EVERY_MS = 1_000
const RETRY_MS = { first: 250, longest: 2_000 }
/** The process ends then, whatever the server says. */
const CLOSE_MS = 500

const LIST = 'SELECT id, name, price::float8 AS price FROM products ORDER BY id LIMIT $1'
const CHECK = 'SELECT 1'
/** Any number that nothing else in this database locks: two pods that create one table at once collide. */
const LOCK = 7_411
/** One simple query is one transaction, and the lock ends with it. A row that is there stays as it is. */
const PREPARE = `
  SELECT pg_advisory_xact_lock(${LOCK});
  CREATE TABLE IF NOT EXISTS products (id integer PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL);
  INSERT INTO products (id, name, price) VALUES ${PRODUCTS.map(rowOf).join(', ')} ON CONFLICT (id) DO NOTHING;`

/**
 * What SQLSTATE classes say that the database cannot be used now: connections, who may connect, resources, an operator's hand
 * (also the limit on a statement), the system below, and a database that is not there. Everything else is a bug of ours.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const UNAVAILABLE = /^(08|28|3D|53|57|58)/

export class PostgresStore implements Store {
  readonly #pool: pg.Pool
  readonly #log: Log
  #state: State = 'down'
  #isClosed = false
  #lastReason = ''
  #wake = () => {}

  /** Returns at once and looks for the database from then on. @throws SettingsError for an address that cannot be used */
  constructor({ url, log }: PostgresStoreOptions) {
    const config = { ...CONNECTIONS, connectionString: url }
    refuseUnusable(config)
    this.#pool = new pg.Pool(config)
    this.#log = log
    // An error event that nobody hears ends the process: the pool's are those of connections at rest.
    this.#pool.on('error', (error) => this.#doubt(error))
    this.#pool.on('connect', (client) => client.on('error', (error) => this.#doubt(error)))
    void this.#follow()
  }

  async listProducts(limit: number): Promise<readonly Product[]> {
    if (this.#state === 'down') throw noAnswer()
    try {
      return (await this.#pool.query<Product>(LIST, [limit])).rows
    } catch (thrown) {
      if (!isUnavailable(thrown)) throw thrown
      this.#doubt(thrown)
      throw noAnswer()
    }
  }

  isReady(): boolean {
    return this.#state === 'up'
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#state = 'down'
    this.#wake()
    // A server that has gone without a word never confirms the end.
    await Promise.race([this.#pool.end(), sleep(CLOSE_MS, undefined, { ref: false })])
  }

  async #follow(): Promise<void> {
    let retryMs = RETRY_MS.first
    while (!this.#isClosed) {
      const answered = await this.#look()
      await this.#pause(answered ? CHECK_EVERY_MS : retryMs)
      retryMs = answered ? RETRY_MS.first : Math.min(2 * retryMs, RETRY_MS.longest)
    }
  }

  /** A database that was away may be another one: it is prepared anew. @returns whether it answered */
  async #look(): Promise<boolean> {
    try {
      await this.#pool.query(this.#state === 'up' ? CHECK : PREPARE)
      this.#rise()
      return true
    } catch (thrown) {
      this.#fall(thrown)
      return false
    }
  }

  #rise(): void {
    if (this.#isClosed || this.#state === 'up') return
    this.#state = 'up'
    this.#lastReason = ''
    this.#log('info', 'the database answers')
  }

  #fall(thrown: unknown): void {
    if (this.#isClosed) return
    this.#state = 'down'
    const reason = reasonOf(thrown)
    if (reason !== this.#lastReason) this.#log('warn', 'the database does not answer', { error: reason })
    this.#lastReason = reason
  }

  /** Not ready from now on, until a look has shown what is the matter. */
  #doubt(thrown: unknown): void {
    if (this.#state !== 'up') return
    this.#state = 'doubtful'
    this.#log('warn', 'a connection to the database was lost', { error: reasonOf(thrown) })
    this.#wake()
  }

  /** Ends early when woken. */
  #pause(ms: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** The driver reads an address only when it connects, and the files that it names with it. */
function refuseUnusable(config: pg.ClientConfig): void {
  try {
    new pg.Client(config)
  } catch (cause) {
    throw new SettingsError(`Cannot start the service: DATABASE_URL cannot be used: ${reasonOf(cause)}`)
  }
}

/** The driver itself throws plain errors for what becomes of a connection, and others only when it is misused. */
function isUnavailable(thrown: unknown): boolean {
  if (thrown instanceof pg.DatabaseError) return UNAVAILABLE.test(thrown.code ?? '')
  return thrown instanceof Error && !(thrown instanceof TypeError || thrown instanceof RangeError)
}

function noAnswer(): HttpError {
  return new HttpError(503, 'The database does not answer')
}

/** Message or code: an address that stands for several hosts fails with an error without a message. */
function reasonOf(thrown: unknown): string {
  const { message, code } = thrown as NodeJS.ErrnoException
  return message || code || String(thrown)
}

function rowOf({ id, name, price }: Product): string {
  return `(${id}, ${pg.escapeLiteral(name)}, ${price})`
}
