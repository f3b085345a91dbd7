/** The dependencies gate: npm's and OSV's databases of vulnerabilities, judged by a policy file whose exceptions end. */
import { exec } from '../exec.ts'
import { ask, NoAnswer } from '../http.ts'
import { type Advisory, judgeAdvisories, judgeExceptions, POLICY, readPolicy, readSeverity, unusedExceptions } from './advisories.ts'
import { type Check, type Gate, type Look, ownVersion, Unavailable } from './gate.ts'
import { type Pinned, pinnedPackages } from './packages.ts'

const OSV = 'https://api.osv.dev'

/** @param osv where the database answers; another one for the tests. */
export function dependenciesGate(osv = OSV): Gate {
  const osvCheck: Check = {
    tool: 'osv',
    source: 'web',
    pin: 'scripts/kit/gate/dependencies.ts',
    about: 'every pinned package of npm and PyPI, every Go module',
    version: async () => 'live',
    run: (look) => runOsv(osv, look),
  }
  return { name: 'dependencies', checks: [exceptions, npmAudit, osvCheck] }
}

const exceptions: Check = {
  tool: 'exceptions',
  source: 'ours',
  pin: POLICY,
  about: 'no exception is over, or without a reason',
  version: ownVersion,
  run: async ({ root }) => judgeExceptions(await readPolicy(root)),
}

const npmAudit: Check = {
  tool: 'npm audit',
  source: 'web',
  pin: 'package-lock.json',
  about: 'every package of package-lock.json',
  version: async () => 'live',
  async run({ root, signal }) {
    const args = ['audit', '--json', '--package-lock-only']
    const { stdout } = await exec('npm', args, { cwd: root, accept: [0, 1], signal })
    return judgeAdvisories(readAudit(stdout), await readPolicy(root))
  },
}

interface Audit {
  readonly vulnerabilities?: Readonly<Record<string, { readonly via: readonly (string | Via)[] }>>
  /** What npm says instead where it could not ask. */
  readonly message?: string
  readonly uri?: string
  readonly error?: { readonly code?: string; readonly summary?: string }
}

interface Via {
  readonly name: string
  readonly title: string
  readonly url: string
  readonly severity: string
}

/** npm's answer as advisories, each once. @throws Unavailable where the registry has no such database or cannot be reached. */
export function readAudit(stdout: string): Advisory[] {
  const { vulnerabilities, message = '', uri, error } = JSON.parse(stdout) as Audit
  if (vulnerabilities === undefined) {
    const said = message || error?.summary || 'npm gave no answer'
    if (uri !== undefined || /^E(AI_AGAIN|CONN|TIMEDOUT|NOTFOUND|HOSTUNREACH|NETUNREACH)/.test(error?.code ?? ''))
      throw new Unavailable(said)
    throw new Error(said)
  }
  const all = Object.values(vulnerabilities)
    .flatMap(({ via }) => via)
    .filter((via) => typeof via !== 'string') // a name: what a package has of one that it depends on
  const advisories = all.map(({ name, title, url, severity }) => ({
    id: url.slice(url.lastIndexOf('/') + 1),
    aliases: [],
    package: name,
    title,
    severity: readSeverity(severity),
    url,
    file: 'package-lock.json',
  }))
  return [...new Map(advisories.map((each) => [`${each.id} ${each.package}`, each])).values()]
}

/** At most as many as OSV takes at once: https://google.github.io/osv.dev/post-v1-querybatch/ */
const BATCH = 1000

interface Vulnerability {
  readonly id: string
  readonly aliases?: readonly string[]
  readonly summary?: string
  readonly withdrawn?: string
  readonly database_specific?: { readonly severity?: string }
}

async function runOsv(url: string, { root, signal }: Look): Promise<string[]> {
  const packages = await pinnedPackages(root)
  if (packages.length === 0) throw new Error('no file pins a package')
  const found = await findAll(url, packages, signal)
  const ids = [...new Set(found.map(({ id }) => id))]
  const details = new Map<string, Vulnerability>()
  for (const id of ids) details.set(id, await askOsv<Vulnerability>(`${url}/v1/vulns/${encodeURIComponent(id)}`, undefined, signal))
  const advisories = withoutDoubles(found.flatMap(({ id, by }) => advisoryOf(details.get(id), by)))
  const policy = await readPolicy(root)
  const asked = new Set(packages.map(({ name }) => name))
  return [...judgeAdvisories(advisories, policy), ...unusedExceptions(advisories, policy, asked)]
}

interface Found {
  readonly id: string
  readonly by: Pinned
}

interface BatchAnswer {
  readonly results: readonly { readonly vulns?: readonly { readonly id: string }[]; readonly next_page_token?: string }[]
}

/** What OSV knows of each package. It cuts an answer that is long, and gives a token by which to ask for the rest. */
async function findAll(url: string, packages: readonly Pinned[], signal?: AbortSignal): Promise<readonly Found[]> {
  const found: Found[] = []
  let open: readonly { readonly by: Pinned; readonly page?: string }[] = packages.map((by) => ({ by }))
  while (open.length > 0) {
    const batch = open.slice(0, BATCH)
    const queries = batch.map(({ by: { ecosystem, name, version }, page }) => ({
      package: { ecosystem, name },
      version,
      ...(page === undefined ? {} : { page_token: page }),
    }))
    const { results } = await askOsv<BatchAnswer>(`${url}/v1/querybatch`, { queries }, signal)
    if (results.length !== batch.length) throw new Error(`OSV gave ${results.length} answers to ${batch.length} questions`)
    const answers = batch.map(({ by }, i) => ({ by, ...results[i] }))
    found.push(...answers.flatMap(({ by, vulns = [] }) => vulns.map(({ id }) => ({ id, by }))))
    const more = answers.flatMap(({ by, next_page_token: page = '' }) => (page === '' ? [] : [{ by, page }]))
    open = [...open.slice(BATCH), ...more]
  }
  return found
}

function advisoryOf(details: Vulnerability | undefined, { name, version, file }: Pinned): Advisory[] {
  if (details === undefined || details.withdrawn !== undefined) return []
  const { id, aliases = [], summary = 'no summary', database_specific: specific } = details
  const severity = readSeverity(specific?.severity)
  return [{ id, aliases, package: name, title: `${version}: ${summary}`, severity, url: `https://osv.dev/${id}`, file }]
}

/** Databases repeat each other: what one has not rated, and another one has under its own name, is told once. */
function withoutDoubles(all: readonly Advisory[]): Advisory[] {
  const isRated = (one: Advisory) =>
    all.some((other) => other.severity !== undefined && other.package === one.package && other.aliases.includes(one.id))
  return all.filter((each) => each.severity !== undefined || !isRated(each))
}

/** @throws Unavailable where nobody answers, or with anything but what was asked for */
async function askOsv<T>(url: string, body?: object, signal?: AbortSignal): Promise<T> {
  const question = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  const answer = await ask('Cannot ask OSV', url, { ...question, signal }).catch((thrown) => {
    throw thrown instanceof NoAnswer ? new Unavailable(thrown.message, { cause: thrown }) : thrown
  })
  return (await answer.json()) as T
}
