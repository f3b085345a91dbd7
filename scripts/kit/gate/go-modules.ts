/** The check that all Go programs ask for one version of a module: what two of them share is fetched and compiled once. */
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gt } from 'semver'
import { exec } from '../exec.ts'
import { lineAt, readTexts, type TextFile } from '../files.ts'
import { type Check, type Look, ownVersion } from './gate.ts'

export const goModules: Check = {
  tool: 'go modules',
  source: 'ours',
  pin: 'scripts/kit/gate/go-modules.ts',
  about: 'Go programs that are compiled here ask for one version of what they share',
  version: ownVersion,
  async run({ root }) {
    return differing(await readModules(root)).map(({ file, index, name, version, newest }) => {
      const place = `${file.path}:${lineAt(file.text, index)}`
      return `${place} — ${name} ${version} and elsewhere ${newest}, so it is compiled twice — npm run gate -- --only lint --fix`
    })
  },
  fix: alignModules,
}

/** Its interface may change still: who asks for one gets that one. */
const CANDIDATE = /^v[\d.]+-(alpha|beta|rc)/

interface GoModule {
  readonly file: TextFile
  /** The programs that it is there for: of them it says the version. */
  readonly programs: readonly string[]
  readonly asks: readonly Asked[]
}

interface Asked {
  readonly name: string
  readonly version: string
  /** How go.mod says it. */
  readonly by: 'require' | 'replace'
  readonly index: number
}

interface Differing extends Asked {
  readonly file: TextFile
  readonly newest: string
}

async function readModules(root: string): Promise<readonly GoModule[]> {
  return (await readTexts(root, (path) => path.endsWith('/go.mod'))).map(readModule)
}

/** Exported for the tests. */
export function readModule(file: TextFile): GoModule {
  const all = (pattern: RegExp) => [...file.text.matchAll(pattern)]
  const replaced = all(/^(?:replace)?\s*(\S+)(?: v\S+)? => (\S+)(?: (v\S+))?$/gm)
  const kept = new Set(all(/^\/\/ Kept: .+\nreplace (\S+) => /gm).map(([, name]) => name))
  const isReplaced = new Set(replaced.map(([, name]) => name))
  // One that stands in for another is nobody else's, and one that is kept says why.
  const itself = replaced.filter(([, name, by, version]) => name === by && version !== undefined && !kept.has(name))
  const isOfRelease = releasedWith(file.path)
  const required = all(/^(?:require)?\s*([^\s/]+\.\S+) (v\S+)(?: \/\/ indirect)?$/gm).filter(([, name]) => !isReplaced.has(name))
  return {
    file,
    programs: all(/^(?:tool)?\s*([^\s/]+\.[^\s/]+\/\S+)$/gm).map(([, name = '']) => name),
    asks: [
      ...required.map(({ 1: name = '', 2: version = '', index }) => ({ name, version, by: 'require' as const, index })),
      ...itself.map(({ 1: name = '', 3: version = '', index }) => ({ name, version, by: 'replace' as const, index })),
    ].filter((asked) => !(isOfRelease(asked) || CANDIDATE.test(asked.version))),
  }
}

/** In a folder that is named after a release of Kubernetes its modules are that release's: 0.36.2 below 1.36.2, whatever others ask for. */
function releasedWith(path: string): (asked: Pick<Asked, 'name' | 'version'>) => boolean {
  const [, release] = /\/1(\.\d+\.\d+)\/go\.mod$/.exec(path) ?? []
  return ({ name, version }) => release !== undefined && name.startsWith('k8s.io/') && version.endsWith(release)
}

/** What is asked for in an older version than elsewhere. Exported for the tests. */
export function differing(modules: readonly GoModule[]): readonly Differing[] {
  const newest = new Map<string, string>()
  for (const { name, version } of modules.flatMap(({ asks }) => asks)) {
    const known = newest.get(name)
    if (known === undefined || gt(version, known)) newest.set(name, version)
  }
  return modules.flatMap(({ file, programs, asks }) =>
    asks
      .filter(({ name, version }) => version !== newest.get(name) && !programs.some((program) => `${program}/`.startsWith(`${name}/`)))
      .map((asked) => ({ ...asked, file, newest: newest.get(asked.name) ?? '' })),
  )
}

/** What a newer version asks for may be newer too: until nothing differs. */
const ROUNDS = 6
/** Programs for the nodes, and tools for a developer's machine. */
const SYSTEMS = ['linux', 'darwin']

async function alignModules({ root, signal }: Look): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const all = Map.groupBy(differing(await readModules(root)), ({ file }) => file.path)
    if (all.size === 0) return
    for (const [path, edits] of all) {
      const flags = edits.map(({ by, name, newest }) => `-${by}=${name}${by === 'replace' ? `=${name}` : ''}@${newest}`)
      await exec('go', ['mod', 'edit', ...flags, join(root, path)], { signal })
      await settle(join(root, dirname(path)), signal)
    }
  }
  throw new Error(`go.mod files differ still after ${ROUNDS} rounds`)
}

/** Lets Go write what follows into go.mod and go.sum. `go mod tidy` would ask for what only the tests of others need. */
async function settle(folder: string, signal?: AbortSignal): Promise<void> {
  const goMod = join(folder, 'go.mod')
  const packages = /^tool\b/m.test(await readFile(goMod, 'utf8')) ? 'tool' : './...'
  for (const GOOS of SYSTEMS) {
    const env = { GOFLAGS: '-mod=mod', GOOS, CGO_ENABLED: '0' }
    const from = ['-C', await sourcesOf(folder), '-modfile', goMod]
    await exec('go', ['list', ...from, '-deps', '-f', '{{.Name}}', packages], { env, signal })
  }
  await dropOldSums(folder)
}

/** Other pins of the same sources lie below them. */
async function sourcesOf(folder: string): Promise<string> {
  const names = await readdir(folder)
  const isAlone = !names.some((name) => name.endsWith('.go')) && existsSync(join(folder, '..', '..', 'go.mod'))
  return isAlone ? join(folder, '..', '..') : folder
}

/** Of a module's source only the version that is used; of its go.mod every one, by which Go finds that out. */
async function dropOldSums(folder: string): Promise<void> {
  const [mod, sum] = ['go.mod', 'go.sum'].map((name) => join(folder, name)) as [string, string]
  const asks = readModule({ path: mod, text: await readFile(mod, 'utf8') }).asks
  const used = new Map(asks.map(({ name, version }) => [name, version]))
  const lines = (await readFile(sum, 'utf8')).split('\n').filter((line) => {
    const [name = '', version = ''] = line.split(' ')
    return version.endsWith('/go.mod') || (used.get(name) ?? version) === version
  })
  await writeFile(sum, lines.join('\n'))
}
