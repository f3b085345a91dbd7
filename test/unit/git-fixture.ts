/** Temporary repositories, and a real smart-HTTP server of one, made with nothing but Git and Node. */
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Remote } from '../../local/git-server/remote.ts'

const CREDENTIAL = { user: 'holdfast', password: 'correct-horse' }
const IDENTITY = ['-c', 'user.name=Test', '-c', 'user.email=test@localhost']

/** The tests' own Git: no settings but ours, so that it judges apart from what is judged. */
export function run(cwd: string, args: readonly string[], input?: string): string {
  const env = { PATH: process.env.PATH, HOME: cwd, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', LC_ALL: 'C' }
  const stdio = ['pipe', 'pipe', 'pipe'] as const
  return execFileSync('git', [...IDENTITY, ...args], {
    cwd,
    env,
    stdio: [...stdio],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    input: input ?? '',
  })
}

export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast git ')))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export function createRepository(path: string): string {
  run(tmpdir(), ['init', '--quiet', '--initial-branch=main', path])
  return path
}

/** Settings of a person that break a careless tool. Everything under test runs with them. */
export function hostileSettings(folder: string): void {
  const hooks = join(folder, 'hooks')
  execFileSync('mkdir', ['-p', hooks])
  for (const name of ['pre-commit', 'pre-push', 'post-index-change', 'reference-transaction', 'fsmonitor']) {
    writeFileSync(join(hooks, name), '#!/bin/sh\necho hook ran >&2\nexit 1\n', { mode: 0o755 })
  }
  const lines = [
    `[core]\nhooksPath = "${hooks}"\nfsmonitor = "${join(hooks, 'fsmonitor')}"\nsafecrlf = true\nsplitIndex = true\nquotePath = true`,
    '[commit]\ngpgSign = true\n[gpg]\nprogram = /bin/false\n[push]\nfollowTags = true\ngpgSign = if-asked\n[http]\nproxy = http://127.0.0.1:1',
    '[url "http://rewritten.invalid/"]\ninsteadOf = http://127\n[credential]\nhelper = "!echo password=wrong; echo username=wrong; #"',
    '[log]\nshowSignature = true\n[i18n]\ncommitEncoding = ISO-8859-1\n[submodule]\nrecurse = true\n[init]\ntemplateDir = /nonexistent',
  ]
  writeFileSync(join(folder, 'gitconfig'), `${lines.join('\n')}\n`)
  process.env.GIT_CONFIG_GLOBAL = join(folder, 'gitconfig')
}

export interface TestServer extends AsyncDisposable {
  readonly remote: Remote & { readonly credential: typeof CREDENTIAL }
  /** The bare repository on disk, read without going through what is tested. */
  readonly gitDir: string
  /** Called before each push is handed to Git. */
  beforePush: () => void
}

/** Anonymous reading, and writing with the credential, as the image does it. */
export async function serveGit(folder: string): Promise<TestServer> {
  const gitDir = join(folder, 'platform.git')
  run(folder, ['init', '--quiet', '--bare', '--initial-branch=source', gitDir])
  const server = createServer((request, response) => {
    if (request.url?.endsWith('/git-receive-pack')) self.beforePush()
    answer(folder, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const self: TestServer = {
    remote: { url: `http://127.0.0.1:${port}/platform.git`, credential: CREDENTIAL },
    gitDir,
    beforePush: () => {},
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return self
}

function answer(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
  const writes = pathname.endsWith('/git-receive-pack') || search.includes('git-receive-pack')
  const expected = `Basic ${Buffer.from(`${CREDENTIAL.user}:${CREDENTIAL.password}`).toString('base64')}`
  if (writes && request.headers.authorization !== expected) {
    request.resume()
    response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end()
    return
  }
  const { 'content-length': length, 'content-encoding': encoding, 'git-protocol': protocol } = request.headers
  const env = {
    PATH: process.env.PATH,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_PROJECT_ROOT: folder,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: pathname,
    QUERY_STRING: search.slice(1),
    REQUEST_METHOD: request.method,
    CONTENT_TYPE: request.headers['content-type'] ?? '',
    ...(length === undefined ? {} : { CONTENT_LENGTH: length }),
    ...(typeof encoding === 'string' ? { HTTP_CONTENT_ENCODING: encoding } : {}),
    ...(typeof protocol === 'string' ? { HTTP_GIT_PROTOCOL: protocol } : {}),
    ...(writes ? { REMOTE_USER: CREDENTIAL.user } : {}),
  }
  const backend = spawn('git', ['http-backend'], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  backend.stdin.on('error', () => {})
  request.pipe(backend.stdin)
  const chunks: Buffer[] = []
  backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  backend.on('close', () => relay(Buffer.concat(chunks), response))
}

function relay(output: Buffer, response: ServerResponse): void {
  const end = output.indexOf('\r\n\r\n')
  const headers = output
    .toString('utf8', 0, end)
    .split('\r\n')
    .map((line) => line.split(/: (.*)/s))
  const status = headers.find(([name]) => name === 'Status')?.[1] ?? '200'
  for (const [name = '', value = ''] of headers) if (name !== 'Status') response.setHeader(name, value)
  response.writeHead(Number.parseInt(status, 10)).end(output.subarray(end + 4))
}

/** Path to `mode object`, of what the disk holds less what Git ignores: found by walking, not by asking Git for the files. */
export function treeOnDisk(root: string): ReadonlyMap<string, string> {
  const paths = walk(root, '')
  const ignored = new Set(ignoredOf(root, paths))
  return new Map(paths.filter((path) => !ignored.has(path)).map((path) => [path, entryOnDisk(join(root, path))]))
}

export function treeOf(gitDir: string, revision: string): ReadonlyMap<string, string> {
  const lines = run(gitDir, ['ls-tree', '-r', '-z', '--full-tree', revision])
    .split('\0')
    .filter((line) => line !== '')
  return new Map(lines.map((line) => [line.slice(line.indexOf('\t') + 1), `${line.slice(0, 6)} ${line.slice(12, 52)}`]))
}

/** Everything of a repository that is the user's own. */
export function stateOf(root: string): Record<string, string> {
  const gitDir = run(root, ['rev-parse', '--absolute-git-dir']).trim()
  const index = join(gitDir, 'index')
  return {
    head: readFileSync(join(gitDir, 'HEAD'), 'utf8'),
    refs: run(root, ['for-each-ref']),
    stash: run(root, ['stash', 'list']),
    objects: run(root, ['count-objects', '-v']),
    files: readdirSync(gitDir).sort().join(' '),
    index:
      statSync(index, { throwIfNoEntry: false }) === undefined ? 'none' : createHash('sha256').update(readFileSync(index)).digest('hex'),
  }
}

function walk(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`
    if (entry.name === '.git') return []
    if (!entry.isDirectory()) return [path]
    const isRepository = statSync(join(root, path, '.git'), { throwIfNoEntry: false }) !== undefined
    return isRepository ? [] : walk(root, `${path}/`)
  })
}

/**
 * A tracked file is not ignored, whatever the patterns say. `check-ignore` alone does not tell: a file that has taken the place of a
 * tracked folder counts there as tracked, too.
 */
function ignoredOf(root: string, paths: readonly string[]): string[] {
  const tracked = new Set(run(root, ['ls-files', '-z']).split('\0'))
  return matchedByPatterns(root, paths).filter((path) => !tracked.has(path))
}

function matchedByPatterns(root: string, paths: readonly string[]): string[] {
  if (paths.length === 0) return []
  try {
    // './' keeps a name such as ':(top)x' from being read as an instruction.
    const asked = paths.map((path) => `./${path}`).join('\0')
    return run(root, ['check-ignore', '--no-index', '-z', '--stdin'], asked)
      .split('\0')
      .map((path) => path.slice(2))
  } catch (thrown) {
    if ((thrown as { status?: number }).status === 1) return []
    throw thrown
  }
}

function entryOnDisk(path: string): string {
  const found = lstatSync(path)
  const content = found.isSymbolicLink() ? readlinkSync(path, 'buffer') : readFileSync(path)
  const mode = found.isSymbolicLink() ? '120000' : (found.mode & 0o100) === 0 ? '100644' : '100755'
  return `${mode} ${createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')}`
}
