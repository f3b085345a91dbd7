/** The rules of this repository that no tool knows: read-only functions from a root folder to problems. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { lineAt, projectFiles, readTexts } from './files.ts'
import { importLaw, importsOf } from './imports.ts'

/** Each problem reads `file:line — what — how to mend it`. */
export type Rule = (root: string) => Promise<string[]>

const MOST_LINES = 400
const TEST_FOLDERS = ['unit', 'config', 'gates', 'contract', 'live', 'series', 'rehearsal', 'parity', 'comeback', 'offline']
const SOURCE = /\.(ts|mts|mjs|js|go|sh|tf|tpl)$/

/** Versions in every package.json are exact: a range lets two clones of one commit install different code. */
export const exactVersions: Rule = async (root) => {
  const manifests = await readTexts(root, (path) => /(^|\/)package\.json$/.test(path))
  return manifests.flatMap(({ path, text }) => {
    const manifest = JSON.parse(text) as Record<string, Record<string, string> | undefined>
    const pins = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) => Object.entries(manifest[kind] ?? {}))
    return pins
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${path}:${lineAt(text, text.indexOf(`"${name}":`))} — '${name}' is '${version}' — pin one exact version`)
  })
}

/** A file that no one can read in one sitting is split. */
export const fileLength: Rule = async (root) => {
  const files = await readTexts(root, (path) => SOURCE.test(path))
  return files.flatMap(({ path, text }) => {
    const lines = text.trimEnd().split('\n').length
    return lines > MOST_LINES ? [`${path}:${MOST_LINES + 1} — has ${lines} lines — split it, the limit is ${MOST_LINES}`] : []
  })
}

/** A test that the runner does not find, or that runs without the guards of `test/suite.ts`, passes without testing. */
export const testFiles: Rule = async (root) => {
  const files = await readTexts(root, (path) => path.endsWith('.ts') && path !== 'test/suite.ts')
  return files.flatMap(({ path, text }) => testFileProblems(path, text).map((problem) => `${path}:1 — ${problem}`))
}

function testFileProblems(path: string, text: string): string[] {
  const specifiers = importsOf(text).map(({ specifier }) => specifier)
  const uvu = specifiers.some((each) => /^uvu(\/|$)/.test(each)) ? ['imports uvu — import test/suite.ts, which guards it'] : []
  if (!path.endsWith('.test.ts')) return uvu
  const folder = /^test\/([^/]+)\/[^/]+$/.exec(path)?.[1] ?? ''
  return [
    ...uvu,
    ...(TEST_FOLDERS.includes(folder) ? [] : [`no runner looks here — move it to test/{${TEST_FOLDERS.join(',')}}/`]),
    ...(specifiers.includes('../suite.ts') ? [] : ["does not import '../suite.ts' — its failures would not count"]),
    ...(/^\s*\w+\.run\(\)/m.test(text) ? [] : ['never calls .run() — its tests would not run']),
  ]
}

/** Paths and host names that exist on one machine only. */
export const machineNames: Rule = async (root) => {
  const files = await readTexts(root, (path) => !/(^|\/)(package-lock\.json|go\.sum)$/.test(path))
  return files.flatMap(({ path, text }) =>
    [MACHINE_PATH, MACHINE_HOST]
      .flatMap((pattern) => [...text.matchAll(pattern)])
      .map(
        (match) => `${path}:${lineAt(text, match.index + match[0].length)} — names '${match[1]}' of one machine — use what every clone has`,
      ),
  )
}

/** Assembled, so that this file does not name what it looks for. */
const MACHINE_PATH = new RegExp(
  `(?:^|[\\s'"\`=:(])(/${'work'}|/${'home'}/\\w+|/${'Users'}/\\w+|[A-Z]:\\\\${'Users'}\\\\\\w+)(?=[/\\\\])`,
  'gm',
)
const MACHINE_HOST = /(?:\/\/|@|['"])([\w-]+\.(?:lan|home\.arpa))\b/g

/** What starts with `#!` can be run, and what can be run says with what. */
export const executableBits: Rule = async (root) => {
  if (process.platform === 'win32') return []
  const files = await readTexts(root, (path) => !/\.(png|gif|jpe?g|ico|tgz|gz)$/.test(path))
  const problems = await Promise.all(
    files.map(async ({ path, text }) => {
      const executable = ((await stat(join(root, path))).mode & 0o100) !== 0
      if (text.startsWith('#!') === executable) return []
      return [executable ? `${path}:1 — is executable without '#!' — chmod -x ${path}` : `${path}:1 — is not executable — chmod +x ${path}`]
    }),
  )
  return problems.flat()
}

/** Every rule by its name. */
export const RULES: Readonly<Record<string, Rule>> = { importLaw, exactVersions, fileLength, testFiles, machineNames, executableBits }

/** Every rule's problems, in order. A tree without files is a wrong root, not a clean one. */
export async function checkRules(root: string): Promise<string[]> {
  if ((await projectFiles(root)).length === 0) return [`${root}:1 — holds no file that Git knows — run this in a clone`]
  return (await Promise.all(Object.values(RULES).map((rule) => rule(root)))).flat()
}
