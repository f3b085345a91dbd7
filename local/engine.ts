/** The Docker Engine: asked, installed and started where that is ours to do, and stopped again. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { aptInstall, hasProgram, isRoot } from '#kit/debian'
import { docker } from '#kit/docker'
import { Failure, messageOf, UserError } from '#kit/errors'
import { ExecError } from '#kit/exec'
import { ensureDir, machineDir } from '#kit/paths'
import { programOf } from '#kit/process'
import type { Progress } from '#kit/progress'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { type KernelBefore, lookAtKernel, removeTraces } from './firewall.ts'
import { waitForLock } from './lock.ts'

const ENGINE_PACKAGES = ['docker.io', 'iptables']
/** What we set DOCKER_HOST to, for testcontainers: what we start has both, and must not take it for the user's wish. */
const OWN_HOST = 'HOLDFAST_DOCKER_HOST'
/** As the user set it. */
export const givenHost = process.env.DOCKER_HOST === process.env[OWN_HOST] ? undefined : process.env.DOCKER_HOST
const engineFile = join(machineDir, 'engine.pid')
/** What the kernel was like before it. There from before its start until it was stopped in order. */
const kernelFile = join(machineDir, 'kernel.json')
const engineLog = join(machineDir, 'dockerd.log')

/** Finds a running engine, or installs and starts one where that is ours to do. */
export async function ensureEngine(progress: Progress, signal: AbortSignal): Promise<void> {
  const answer = await engineAnswer()
  if (answer.running) return
  if (!isOursToStart()) throw noEngine(answer.why)
  if (!(await hasProgram('dockerd'))) await installEngine(progress, signal)
  await progress.step('Start Docker Engine (dockerd; npm run local:down -- --all stops it)', () => startEngine(signal))
}

/**
 * Whether there is an engine to ask: no where none runs that could hold anything of ours.
 * @throws UserError where one is there and does not let us in.
 */
export async function mustAnswer(): Promise<boolean> {
  if (!(await hasProgram('docker'))) return false
  const answer = await engineAnswer()
  if (!answer.running && !(isOursToStart() && isDown(answer.why))) throw noEngine(answer.why)
  return answer.running
}

/**
 * As `mustAnswer`, for what is to be removed: an engine of ours that ended with its machine, or was killed, is started again, for what it
 * held is still on the disk.
 * @param isKnown whether something else says that it holds something of ours
 */
export async function mustAnswerForRemoval(isKnown: boolean, progress: Progress): Promise<boolean> {
  if (await mustAnswer()) return true
  if (!(isKnown || existsSync(kernelFile)) || !(await hasProgram('dockerd'))) return false
  await progress.step('Start Docker Engine, which holds what is to be removed', () => startEngine())
  return true
}

/** An address that somebody has set names an engine of theirs: starting another one would not answer there. */
export const isOursToStart = () => process.platform === 'linux' && isRoot() && givenHost === undefined

/** testcontainers looks for an engine by itself; it must find the one that the docker command talks to. */
export async function pointAtEngine(): Promise<void> {
  if (process.env.DOCKER_HOST !== undefined) return
  const { stdout } = await docker(['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}'])
  process.env.DOCKER_HOST = stdout.trim()
  process.env[OWN_HOST] = process.env.DOCKER_HOST
}

/** What the engine says of itself, of which the Docker command knows more. */
export interface EngineServer {
  readonly Version?: string
  readonly ApiVersion?: string
  readonly Os?: string
  readonly Arch?: string
  readonly KernelVersion?: string
  readonly Components?: readonly { readonly Name: string }[]
}

export type EngineAnswer = { readonly running: true; readonly server: EngineServer } | { readonly running: false; readonly why: string }

/** Asks the daemon: the command alone may be there without one. */
export async function engineAnswer(timeoutMs = 10_000): Promise<EngineAnswer> {
  try {
    const { stdout } = await docker(['version', '--format', '{{json .Server}}'], { timeoutMs })
    const server = JSON.parse(stdout) as EngineServer | null // Podman in Docker's place has none
    return { running: true, server: server ?? {} }
  } catch (thrown) {
    const said = thrown instanceof ExecError ? thrown.stderr.trim().split('\n').at(-1) : ''
    return { running: false, why: said || messageOf(thrown) }
  }
}

/** Whether nothing runs at all, so that starting one is of use. */
export const isDown = (why: string) => /cannot connect|failed to connect|no such file|command not found/i.test(why)

function noEngine(why: string): UserError {
  return new UserError({ what: 'Cannot use a Docker Engine', why, next: engineAdvice(why) })
}

/** What to do about an engine that does not answer. @param host as the user set DOCKER_HOST */
export function engineAdvice(why: string, host = givenHost, platform: NodeJS.Platform = process.platform): string {
  if (host !== undefined) return `Start the engine at DOCKER_HOST '${host}', or unset it`
  if (platform !== 'linux') return 'Start Docker Desktop, Colima or Rancher Desktop and run this again'
  if (/permission denied/i.test(why)) return 'Run: sudo usermod -aG docker "$USER", log in again, and run this again'
  if (!isDown(why)) return 'Restart the engine and run this again'
  return `Run: sudo apt-get install -y ${ENGINE_PACKAGES.join(' ')} && sudo systemctl start docker && sudo usermod -aG docker "$USER", then log in again`
}

async function installEngine(progress: Progress, signal: AbortSignal): Promise<void> {
  if (!(await hasProgram('apt-get'))) throw noEngine('dockerd is not installed and this system has no apt-get')
  await aptInstall(ENGINE_PACKAGES, { progress, signal })
  if (!(await hasProgram('docker'))) await aptInstall(['docker-cli'], { progress, signal }) // a package of its own since Debian 13
}

/** One command at a time: two engines would fight for the same files, and only the number of one is kept. */
async function startEngine(signal?: AbortSignal): Promise<void> {
  await using _lock = await waitForLock('_engine', 'start of Docker Engine', signal)
  if ((await engineAnswer()).running) return
  const hasEnded = (await ownEngine()) === undefined ? await spawnEngine() : isGone // one whose starter was killed
  await waitFor(
    'Docker Engine to answer',
    async () => {
      const ended = await hasEnded()
      if (ended !== undefined) return terminal(`${ended}: ${await lastLogLine()}`, `Its log is ${engineLog}`)
      const answer = await engineAnswer()
      return answer.running ? ready(undefined) : pending(answer.why)
    },
    { timeoutMs: 60_000, everyMs: 200, signal },
  )
}

/** What is said of an engine that has ended; undefined while it runs. */
type HasEnded = () => Promise<string | undefined>

const isGone: HasEnded = async () => ((await ownEngine()) === undefined ? 'dockerd ended' : undefined)

/** dockerd in a session of its own, so that neither the end of this command nor its Ctrl-C reaches it. */
async function spawnEngine(): Promise<HasEnded> {
  ensureDir(machineDir)
  await removeStalePids()
  if (!existsSync(kernelFile)) await writeFile(kernelFile, JSON.stringify(await lookAtKernel())) // an engine that was killed left its own
  const log = openSync(engineLog, 'a', 0o600)
  const engine = spawn('dockerd', [], { detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  let ended: string | undefined
  engine.on('error', (error) => (ended = error.message))
  engine.on('exit', (code) => (ended = `dockerd ended with exit code ${code}`))
  engine.unref()
  writeFileSync(engineFile, String(engine.pid)) // at once: an engine that nobody knows is stopped by nobody
  return async () => ended
}

/** An engine that was killed leaves its number behind; once another process has that number, dockerd believes that it runs already. */
async function removeStalePids(): Promise<void> {
  const files = { dockerd: '/var/run/docker.pid', containerd: '/var/run/docker/containerd/containerd.pid' }
  for (const [program, file] of Object.entries(files)) {
    const pid = Number(await readFile(file, 'utf8').catch(() => 'NaN'))
    if (Number.isInteger(pid) && !(await isProcess(pid, program))) await rm(file, { force: true })
  }
}

async function lastLogLine(): Promise<string> {
  return (await readFile(engineLog, 'utf8')).trimEnd().split('\n').at(-1) ?? ''
}

/** The number of the engine's process, if it is one that we started. */
export async function ownEngine(): Promise<number | undefined> {
  const pid = Number(await readFile(engineFile, 'utf8').catch(() => 'NaN'))
  return Number.isInteger(pid) && (await isProcess(pid, 'dockerd')) ? pid : undefined
}

/** Whether one answers, whoever started it. */
export async function engineRuns(): Promise<boolean> {
  return (await hasProgram('docker')) && (await engineAnswer()).running
}

/**
 * Stops the engine if it is one that we started. What it left in the kernel goes, also where it was killed, or we were, before that;
 * where another engine runs by now, that is the other one's.
 * @returns whether there was one of ours
 */
export async function stopEngine(): Promise<boolean> {
  const before = await readFile(kernelFile, 'utf8').catch(() => undefined)
  if (before === undefined) return false
  const pid = await ownEngine()
  if (pid !== undefined) await endEngine(pid)
  if (pid !== undefined || !(await engineRuns())) await removeTraces(JSON.parse(before) as KernelBefore)
  for (const file of [engineFile, engineLog, kernelFile]) await rm(file, { force: true })
  return true
}

/** Stops the engine until disposal, which starts it again. @throws Failure where it is none of ours */
export async function pauseEngine(): Promise<AsyncDisposable> {
  const pid = await ownEngine()
  if (pid === undefined) throw new Failure({ what: 'Cannot stop the engine for a while', why: 'local:up has not started it' })
  await endEngine(pid)
  return { [Symbol.asyncDispose]: () => startEngine() } // also where we were interrupted meanwhile
}

/** Stops the engine and starts it again, as after an update of it. @throws Failure where it is none of ours */
export async function restartEngine(): Promise<void> {
  await using _ = await pauseEngine()
}

async function endEngine(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM')
  await waitFor('Docker Engine to stop', async () => ((await isProcess(pid, 'dockerd')) ? pending('running') : ready(undefined)), {
    timeoutMs: 60_000,
    everyMs: 200,
  })
}

/** A process number is used again: only its program's name tells whether it is still the same. */
const isProcess = async (pid: number, program: string) => (await programOf(pid)) === program
