/** A PostgreSQL of the machine's own packages, in a temporary folder, for one test file. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { aptInstall, hasProgram, isRoot } from '#kit/debian'
import { exec } from '#kit/exec'
import { createProgress } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { PASSWORD } from '../unit/store-fixture.ts'

export interface Postgres {
  readonly port: number
  /** The address of one of its databases. */
  url(database: string): string
  /** Runs SQL as the superuser. */
  sql(text: string, database?: string): Promise<Record<string, unknown>[]>
  start(): Promise<void>
  /** Ends its connections and then itself, as a pod's end does. */
  stop(): Promise<void>
  /** Falls silent, and says nothing of it on its connections. @returns what makes it speak again */
  pause(): Promise<() => void>
  remove(): Promise<void>
}

const DEBIAN_FOLDER = '/usr/lib/postgresql'
const DEBIAN_SETTINGS = '/etc/postgresql-common/createcluster.conf'
const INSTALL_TIMEOUT_MS = 300_000
const START_TIMEOUT_MS = 20_000

/** The folder of `initdb` and `postgres`, installed first where this is Debian and we may. @returns undefined without them */
export async function findPostgres(): Promise<string | undefined> {
  const found = await lookForPostgres()
  if (found !== undefined || !isRoot() || !(await hasProgram('apt-get'))) return found
  await installPostgres()
  return lookForPostgres()
}

async function lookForPostgres(): Promise<string | undefined> {
  const versions = await readdir(DEBIAN_FOLDER).catch(() => [])
  const newest = versions.toSorted((a, b) => Number(b) - Number(a)).at(0)
  if (newest !== undefined) return join(DEBIAN_FOLDER, newest, 'bin')
  const { stdout, exitCode } = await exec('sh', ['-c', 'command -v initdb'], { accept: [0, 1, 127] })
  return exitCode === 0 ? dirname(stdout.trim()) : undefined
}

/** Debian's package starts a server of its own unless it is told not to before it comes. */
async function installPostgres(): Promise<void> {
  using progress = createProgress()
  const run = { progress, signal: AbortSignal.timeout(INSTALL_TIMEOUT_MS) }
  await aptInstall(['postgresql-common'], run)
  const settings = await readFile(DEBIAN_SETTINGS, 'utf8')
  await writeFile(DEBIAN_SETTINGS, settings.replace(/^#?create_main_cluster.*$/m, 'create_main_cluster = false'))
  await aptInstall(['postgresql'], run)
}

/** Makes an empty one and starts it. It listens on loopback only. */
export async function createPostgres(binaries: string): Promise<Postgres> {
  const user = await ordinaryUser()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-postgres-'))
  if (user !== undefined) await chown(folder, user.uid, user.gid)
  const [data, port] = [join(folder, 'data'), await freePort()]
  await initialise({ binaries, folder, data, user })
  const settings = { port, listen_addresses: '127.0.0.1', unix_socket_directories: folder, fsync: 'off' }
  const args = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const url = (database: string) => `postgres://tester:${PASSWORD}@127.0.0.1:${port}/${database}`
  let child: ChildProcess | undefined
  const self: Postgres = {
    port,
    url,
    sql: (text, database = 'postgres') => query(url(database), text),
    async start() {
      child = spawn(join(binaries, 'postgres'), args, { ...user, cwd: folder, stdio: 'ignore' })
      await untilAnswering(() => self.sql('SELECT 1'))
    },
    async stop() {
      if (child?.exitCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGINT')
      await ended
    },
    async pause() {
      const backends = await self.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
      const pids = [child?.pid ?? 0, ...backends.map(({ pid }) => Number(pid))]
      for (const pid of pids) process.kill(pid, 'SIGSTOP')
      return () => pids.forEach((pid) => void process.kill(pid, 'SIGCONT'))
    },
    async remove() {
      await self.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  await self.start()
  return self
}

interface User {
  readonly uid: number
  readonly gid: number
}

/** PostgreSQL refuses to run as root, and wants a user that has a name. */
async function ordinaryUser(): Promise<User | undefined> {
  if (!isRoot()) return undefined
  const idOf = async (flag: string) => Number((await exec('id', [flag, 'nobody'])).stdout)
  return { uid: await idOf('-u'), gid: await idOf('-g') }
}

interface Place {
  readonly binaries: string
  readonly folder: string
  readonly data: string
  readonly user: User | undefined
}

async function initialise({ binaries, folder, data, user }: Place): Promise<void> {
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, PASSWORD, { mode: 0o644 })
  const args = ['-D', data, '-U', 'tester', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-sync', '--locale=C', '-E', 'UTF8']
  const child = spawn(join(binaries, 'initdb'), args, { ...user, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += chunk))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${errors}`)
}

async function query(connectionString: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

async function untilAnswering(ask: () => Promise<unknown>): Promise<void> {
  const look = () =>
    ask().then(
      () => ready(undefined),
      (error: Error) => pending(error.message),
    )
  await waitFor('PostgreSQL to answer', look, { timeoutMs: START_TIMEOUT_MS, everyMs: 50 })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
