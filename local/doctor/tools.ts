/** Entries about the processor and the programs that commands call. */
import { bad, type Finding, fine, unknown, warn } from '#core'
import { isRoot } from '#kit/debian'
import { OLDEST_GO } from '#kit/go'
import { NODE_IMAGES, versionsOf } from '../node/image.ts'
import type { Entry } from './entry.ts'
import { type Facts, NO_ENGINE } from './facts.ts'
import { isAtLeast } from './numbers.ts'

interface ArchitectureRaw {
  readonly platform: NodeJS.Platform
  /** As Node names it. */
  readonly arch: string
  /** As Go names them; undefined where no engine answers. */
  readonly engine: { readonly os: string; readonly arch: string } | undefined
}

const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

export const architecture: Entry<ArchitectureRaw> = {
  name: 'architecture',
  minimum: 'x64 or arm64, Linux or macOS, engine alike',
  why: 'Images are of two processors only, and what is compiled here runs in them',
  fix: 'Use a machine with an x64 or arm64 processor',
  symptoms: /exec format error|no matching manifest for|does not match the (detected|specified) .*platform/i,
  async read(facts) {
    const answer = await facts.engine()
    const engine = answer.running ? { os: answer.server.Os ?? '', arch: answer.server.Arch ?? '' } : undefined
    return { platform: facts.platform, arch: process.arch, engine }
  },
  judge({ platform, arch, engine }) {
    const found = `${platform} ${arch}${engine === undefined ? '' : `, engine ${engine.os} ${engine.arch}`}`
    if (platform === 'win32') return bad(found, 'Clone the project inside of WSL 2, and run its commands there')
    if (GO_ARCH[arch] === undefined) return bad(found)
    if (engine === undefined) return unknown(`${found}; ${NO_ENGINE}`)
    if (engine.os !== 'linux') return bad(found, 'Switch the engine to Linux containers')
    return engine.arch === GO_ARCH[arch] ? fine(found) : warn(found, 'Use an engine, and a Node, of the processor that this machine has')
  },
}

const PINNED = versionsOf(NODE_IMAGES).pinned

export const kubectl: Entry<string | undefined> = {
  name: 'kubectl',
  minimum: `none, or one minor around ${PINNED}`,
  why: 'Nothing here calls it, but you may; Kubernetes supports it one minor up and down, and beyond that it may lose what it does not know',
  fix: `Install kubectl ${PINNED}, or run the node’s own: docker exec holdfast-local kubectl`,
  async read({ find, run }) {
    return find('kubectl') === undefined ? undefined : run('kubectl', ['version', '--client', '--output', 'json'])
  },
  judge(json) {
    if (json === undefined) return fine('none')
    const { clientVersion } = JSON.parse(json) as { clientVersion?: { gitVersion?: string } }
    const found = clientVersion?.gitVersion ?? ''
    const [theirs, ours] = [found, PINNED].map(minorOf)
    if (theirs === undefined || ours === undefined) return unknown(`kubectl says that it is '${found}'`)
    return Math.abs(theirs - ours) <= 1 ? fine(found) : warn(found)
  },
}

const minorOf = (version: string) => {
  const minor = /^v?1\.(\d+)/.exec(version)?.[1]
  return minor === undefined ? undefined : Number(minor)
}

/** What decides whether building has to work. */
interface BuildRaw {
  readonly registryAnswers: boolean
  readonly hasImages: boolean
}

async function readBuild(facts: Facts): Promise<BuildRaw> {
  return { registryAnswers: (await facts.whyNoRegistry()) === undefined, hasImages: await facts.hasImages() }
}

/** Where images are pulled, or are here already, what builds them can be missing. */
const lackIn = ({ registryAnswers, hasImages }: BuildRaw) => (registryAnswers || hasImages ? warn : bad)

interface GoRaw extends BuildRaw {
  /** GOVERSION and GOTOOLCHAIN, a line each; undefined where there is no Go. */
  readonly goEnv: string | undefined
}

export const go: Entry<GoRaw> = {
  name: 'go',
  minimum: `Go ${OLDEST_GO}, to build images and for npm test`,
  why: 'Images are compiled with it where none can be pulled, and so are the tools of the gates',
  fix: `Install Go ${OLDEST_GO} from https://go.dev/dl/, or run npm run local:up -- --images pull where a registry answers`,
  symptoms: /Go is not on the PATH|requires go >= |go: command not found/i,
  async read(facts) {
    const [build, goEnv] = await Promise.all([
      readBuild(facts),
      facts.find('go') === undefined ? undefined : facts.run('go', ['env', 'GOVERSION', 'GOTOOLCHAIN']),
    ])
    return { ...build, goEnv }
  },
  judge({ goEnv, ...build }) {
    if (goEnv === undefined) return lackIn(build)('none on the PATH')
    const [version = '', toolchain = ''] = goEnv.trim().split('\n')
    if (isAtLeast(version, OLDEST_GO)) return fine(version)
    // It then fetches the one that a go.mod asks for, from the module proxy.
    return toolchain.startsWith('local')
      ? lackIn(build)(`${version}, GOTOOLCHAIN=${toolchain}`)
      : warn(`${version}, which fetches a newer one`)
  },
}

interface BuildBaseRaw extends BuildRaw {
  readonly isRoot: boolean
  readonly hasDebootstrap: boolean
  readonly hasApt: boolean
}

export const buildBase: Entry<BuildBaseRaw> = {
  name: 'build-base',
  minimum: 'root and debootstrap, to build images',
  why: 'Where no base image can be pulled, one is laid from Debian’s packages by debootstrap, which must be root',
  fix: 'Run this as root on Debian or Ubuntu, or where a container registry answers',
  symptoms: /debootstrap/,
  read: async (facts) => ({
    ...(await readBuild(facts)),
    isRoot: isRoot(),
    hasDebootstrap: facts.find('debootstrap') !== undefined,
    hasApt: facts.find('apt-get') !== undefined,
  }),
  judge({ isRoot: root, hasDebootstrap, hasApt, ...build }) {
    const found = `${root ? 'root' : 'not root'}, ${hasDebootstrap ? 'debootstrap' : hasApt ? 'apt-get to install it with' : 'no debootstrap'}`
    if (root && (hasDebootstrap || hasApt)) return fine(found)
    return build.registryAnswers ? fine(`${found}, and not needed: a registry answers`) : lackIn(build)(found)
  },
}

const OLDEST_NODE = '20'
const OLDEST_NPM = '9'
/** The first with `rev-parse --path-format`. */
const OLDEST_GIT = '2.31'

interface NodeRaw {
  /** That runs this, perhaps the one of our packages. */
  readonly running: string
  /** Yours: what npm runs with, else what is on the PATH; undefined where none is. */
  readonly onPath: string | undefined
}

export const node: Entry<NodeRaw> = {
  name: 'node',
  minimum: `Node ${OLDEST_NODE}`,
  why: 'Commands run TypeScript as it is, and where the Node on the PATH is older than 24.3 by one that the packages bring',
  fix: 'Install Node 24, the current LTS, from https://nodejs.org',
  /** npm lays ours before yours on the PATH of what it runs, and says what it runs with itself. */
  read: async ({ env, find, run }) => ({
    running: process.version,
    onPath: toldByNpm(env, 'node') ?? (find('node') === undefined ? undefined : (await run('node', ['--version'])).trim()),
  }),
  judge({ running, onPath }) {
    if (onPath === undefined) return warn(`${running}, none on the PATH`)
    const found = onPath === running ? running : `${onPath}; commands run with ${running}`
    return isAtLeast(onPath, OLDEST_NODE) ? fine(found) : bad(found)
  },
}

export const npm: Entry<string> = {
  name: 'npm',
  minimum: `npm ${OLDEST_NPM}`,
  why: 'Older ones do not take the lock file as it is, or install packages of other platforms',
  fix: 'Install Node 24, which brings npm 11',
  read: async ({ env, run }) => toldByNpm(env, 'npm') ?? run('npm', ['--version']), // which takes a tenth of a second and more
  judge: (version) => judgeVersion(version, OLDEST_NPM),
}

export const git: Entry<string> = {
  name: 'git',
  minimum: `Git ${OLDEST_GIT}`,
  why: 'The working tree is pushed as one snapshot, for which older ones lack what is asked of them',
  fix: `Install Git ${OLDEST_GIT} or later`,
  symptoms: /git: command not found|unknown option.*path-format/i,
  read: ({ run }) => run('git', ['--version']),
  judge: (text) => judgeVersion(text.replace('git version ', ''), OLDEST_GIT),
}

/** `npm/11.19.1 node/v20.20.2 linux x64 …` */
function toldByNpm(env: Facts['env'], program: 'npm' | 'node'): string | undefined {
  return new RegExp(`(?:^| )${program}/(\\S+)`).exec(env.npm_config_user_agent ?? '')?.[1]
}

function judgeVersion(text: string, least: string): Finding {
  const version = text.trim()
  const isEnough = isAtLeast(version, least)
  if (isEnough === undefined) return unknown(`it says that it is '${version}'`)
  return isEnough ? fine(version) : bad(version)
}
