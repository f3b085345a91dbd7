/** Entries about the Docker Engine: the daemon, not the command that is there without one. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { bad, type Finding, fine, unknown, warn } from '#core'
import type { ClockReading } from '#kit/hub'
import { type EngineAnswer, type EngineServer, engineAdvice, ensureEngine, givenHost, isDown, isOursToStart } from '../engine.ts'
import type { Entry } from './entry.ts'
import { type Facts, NO_ENGINE } from './facts.ts'
import { isAtLeast } from './numbers.ts'

const OLDEST_ENGINE = '20.10'
/** Bounds of proofs are summed in tenths of a second, of times that both clocks give. */
const SKEW_MS = 500
const FAR_SKEW_MS = 5_000
/** Of the machine against the world. AWS refuses what was signed five minutes off, and apt lists of tomorrow. */
const LATE_MS = 30_000
const FAR_LATE_MS = 300_000
const SET_CLOCK = 'Set this machine’s clock, and let it be kept: sudo timedatectl set-ntp true'

interface EngineRaw {
  readonly answer: EngineAnswer
  /** Whether local:up would install and start one. */
  readonly isOurs: boolean
  readonly host: string | undefined
  readonly platform: NodeJS.Platform
}

export const engine: Entry<EngineRaw> = {
  name: 'engine',
  minimum: 'a daemon that answers',
  why: 'Every node is a container of it',
  fix: 'Start Docker Engine and run this again',
  symptoms: /cannot connect to the docker daemon|failed to connect to the docker api|docker\.sock: connect|dial unix .*docker\.sock/i,
  read: async (facts) => ({ answer: await facts.engine(), isOurs: isOursToStart(), host: givenHost, platform: facts.platform }),
  judge({ answer, isOurs, host, platform }) {
    if (answer.running) return fine('it answers')
    if (isOurs && isDown(answer.why))
      return warn('none runs', 'npm run local:up installs and starts it, and so does npm run doctor -- --fix')
    return bad(answer.why, engineAdvice(answer.why, host, platform))
  },
  mend: ({ progress, signal }) => ensureEngine(progress, signal),
}

export const engineVersion: Entry<EngineServer> = {
  name: 'engine-version',
  minimum: `Docker Engine ${OLDEST_ENGINE}`,
  why: 'Older ones cannot give a container a cgroup namespace of its own, and others were never tried',
  fix: `Install Docker Engine ${OLDEST_ENGINE} or later`,
  symptoms: /client version [\d.]+ is too (new|old)|minimum supported API version/i,
  async read(facts) {
    const answer = await facts.engine()
    if (!answer.running) throw new Error(NO_ENGINE)
    return answer.server
  },
  judge({ Version = '', Components = [] }) {
    const other = Components.find(({ Name }) => /podman/i.test(Name))
    if (other !== undefined) return warn(`${other.Name} ${Version}`, 'Use Docker Engine: Podman was never tried')
    const isEnough = isAtLeast(Version, OLDEST_ENGINE)
    if (isEnough === undefined) return unknown(`the engine says that it is '${Version}'`)
    return isEnough ? fine(Version) : bad(Version)
  },
}

/** Ports are published on the machine that the engine runs on. */
export const engineAddress: Entry<string> = {
  name: 'engine-address',
  minimum: 'an engine of this machine',
  why: 'Ports are published where the engine runs, on its 127.0.0.1, which cannot be reached from here',
  fix: 'Unset DOCKER_HOST, or choose a local context with: docker context use default',
  async read({ env, find, run }) {
    if (env.DOCKER_HOST !== undefined) return env.DOCKER_HOST
    if (find('docker') === undefined) throw new Error('no docker command is on the PATH')
    const args = ['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}']
    return (await run('docker', args)).trim()
  },
  judge(host) {
    if (/^tcp:\/\/(127\.0\.0\.1|localhost|\[::1\])(:|\/|$)/.test(host)) return warn(host, 'Nothing, unless it is the end of a tunnel')
    return /^(tcp|ssh|https?):/.test(host) ? bad(host) : fine(host)
  },
}

interface SnapRaw {
  readonly program: string | undefined
  readonly rootDir: string | undefined
}

export const snapDocker: Entry<SnapRaw> = {
  name: 'snap-docker',
  minimum: 'an engine that is no snap',
  why: 'The Docker of snap sees a /tmp of its own and no hidden folder of yours, so no image can be built from what is laid there',
  fix: 'Run: sudo snap remove docker && sudo apt-get install -y docker.io',
  async read(facts) {
    const info = await facts.info().catch(() => undefined)
    return { program: facts.find('docker'), rootDir: info?.DockerRootDir }
  },
  judge({ program, rootDir }) {
    if (rootDir?.startsWith('/var/snap/') || program?.startsWith('/snap/')) return bad(rootDir ?? program ?? '')
    return rootDir === undefined ? unknown(NO_ENGINE) : fine(rootDir)
  },
}

interface ClockRaw {
  /** As the engine writes it: RFC 3339. Undefined where none answers. */
  readonly engine: ClockReading | undefined
  /** As the registries write it: HTTP's, to the second. */
  readonly registries: readonly ClockReading[]
}

/** It was read at some moment between the two: only what lies outside is known to be skew. @param spanMs how long the time told goes on */
function skewOf({ beforeMs, afterMs, time }: ClockReading, spanMs = 0): number {
  const toldMs = Date.parse(time)
  return Math.max(0, beforeMs - toldMs - spanMs, toldMs - afterMs)
}

/** On Linux machine and engine have one clock, which can be wrong all the same. Registries of many owners are not wrong together. */
function judgeMachine(registries: readonly ClockReading[]): Finding | undefined {
  const told = registries.map((each) => skewOf(each, 1_000)).filter((each) => !Number.isNaN(each))
  const skewMs = told.length === 0 ? 0 : Math.min(...told)
  if (skewMs <= LATE_MS) return undefined
  return (skewMs > FAR_LATE_MS ? bad : warn)(`${Math.round(skewMs / 1_000)} s from that of the registries`, SET_CLOCK)
}

export const clock: Entry<ClockRaw> = {
  name: 'clock',
  minimum: `engine within ${SKEW_MS} ms, world within ${LATE_MS / 1_000} s`,
  why: 'Proofs compare times of engine and machine, and what is signed or certified by a wrong clock is not valid elsewhere',
  fix: 'Restart the engine, whose virtual machine lost the time while this machine slept',
  symptoms: /certificate has expired or is not yet valid|CERT_NOT_YET_VALID|tls: .*not yet valid/i,
  async read(facts) {
    const [engine, registries] = await Promise.all([readEngineClock(facts), facts.registries()])
    return { engine, registries: registries.flatMap((each) => each.clock ?? []) }
  },
  judge: ({ engine, registries }) => judgeMachine(registries) ?? judgeEngine(engine),
}

async function readEngineClock(facts: Facts): Promise<ClockReading | undefined> {
  if (!(await facts.engine()).running) return undefined
  await facts.info() // asked before by others: what is measured here is one short answer
  const beforeMs = Date.now()
  const time = await facts.run('docker', ['info', '--format', '{{.SystemTime}}'])
  return { beforeMs, afterMs: Date.now(), time: time.trim() }
}

function judgeEngine(engine: ClockReading | undefined): Finding {
  if (engine === undefined) return unknown(NO_ENGINE)
  const skewMs = skewOf(engine)
  if (Number.isNaN(skewMs)) return unknown(`the engine says that it is '${engine.time}'`)
  const found = skewMs === 0 ? `the same within ${engine.afterMs - engine.beforeMs} ms` : `${skewMs} ms apart`
  if (skewMs > FAR_SKEW_MS) return bad(found)
  return skewMs > SKEW_MS ? warn(found) : fine(found)
}

interface CredentialsRaw {
  readonly path: string
  /** The file's text; undefined where there is none. */
  readonly config: string | undefined
  /** Those of the helpers that the file names that are on the PATH. */
  readonly helpers: readonly string[]
}

export const credentials: Entry<CredentialsRaw> = {
  name: 'credentials',
  minimum: 'each helper that is named',
  why: 'The docker command asks its credential helper before every pull, also of what is public, and fails without it',
  fix: 'Take credsStore and credHelpers that are not there out of ~/.docker/config.json',
  symptoms: /error getting credentials|docker-credential-\S+.*(not found|no such file)/i,
  async read({ env, find }) {
    const path = join(env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json')
    const config = await readFile(path, 'utf8').catch(() => undefined)
    return { path, config, helpers: (helpersIn(config ?? '{}') ?? []).filter((name) => find(name) !== undefined) }
  },
  judge({ path, config, helpers }) {
    if (config === undefined) return fine('no settings, so none')
    const named = helpersIn(config)
    if (named === undefined) return bad(`${path} is no JSON`, `Mend or remove ${path}`)
    const missing = named.filter((each) => !helpers.includes(each))
    if (missing.length > 0) return bad(`${missing.join(', ')} named by ${path}, and not on the PATH`)
    return fine(named.length === 0 ? 'none is named' : named.join(', '))
  },
}

/** Programs; undefined for what is no JSON. */
function helpersIn(config: string): string[] | undefined {
  try {
    const { credsStore, credHelpers = {} } = JSON.parse(config) as { credsStore?: string; credHelpers?: Record<string, string> }
    const names = [...(credsStore ? [credsStore] : []), ...Object.values(credHelpers)]
    return [...new Set(names)].map((name) => `docker-credential-${name}`)
  } catch {
    return undefined
  }
}
