/** The machine under the cluster: is it big enough, is there an engine, is the kernel set right? */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { freemem, homedir } from 'node:os'
import { join } from 'node:path'
import { aptInstall, hasProgram, isRoot } from '#kit/debian'
import { docker } from '#kit/docker'
import { Failure, messageOf, UserError } from '#kit/errors'
import { ExecError } from '#kit/exec'
import { cacheDir, ensureDir, machineDir } from '#kit/paths'
import type { Progress } from '#kit/progress'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { type KernelBefore, lookAtKernel, removeTraces } from './firewall.ts'

/** containerd, kubelet and every container shim take instances; the default of 128 is used up by about 28 pods. */
const INOTIFY_INSTANCES = 512
const INOTIFY_FILE = '/proc/sys/fs/inotify/max_user_instances'
/** Compiling Kubernetes and Argo CD fills Go's caches with about 8 GB, the images take 3 GB. */
const MIN_FREE_TO_BUILD_GB = 12
const MIN_FREE_GB = 3
const MIN_MEMORY_GB = 3
const ENGINE_PACKAGES = ['docker.io', 'iptables']
/** As the user set it: later it is also set for testcontainers, which then would pass for the user's wish. */
const givenHost = process.env.DOCKER_HOST
const engineFile = join(machineDir, 'engine.pid')
/** What the kernel was like before it. */
const kernelFile = join(machineDir, 'kernel.json')
const engineLog = join(machineDir, 'dockerd.log')

/** @throws UserError naming what the machine lacks. Raises what it can, and says so. */
export async function checkMachine(progress: Progress): Promise<void> {
  await checkDisk()
  checkMemory()
  await raiseInotify(progress)
}

async function checkDisk(): Promise<void> {
  const { bavail, bsize } = await statfs(homedir())
  const freeGb = (bavail * bsize) / 1e9
  const neededGb = existsSync(cacheDir) ? MIN_FREE_GB : MIN_FREE_TO_BUILD_GB
  if (freeGb >= neededGb) return
  throw new UserError({
    what: 'Cannot start',
    why: `only ${freeGb.toFixed(1)} GB of disk are free and ${neededGb} GB are needed`,
    next: 'Free some space and run this again',
  })
}

function checkMemory(): void {
  const freeGb = freemem() / 1e9
  if (freeGb >= MIN_MEMORY_GB) return
  throw new UserError({
    what: 'Cannot start',
    why: `only ${freeGb.toFixed(1)} GB of memory are free and ${MIN_MEMORY_GB} GB are needed`,
    next: 'Close something and run this again',
  })
}

async function raiseInotify(progress: Progress): Promise<void> {
  if (process.platform !== 'linux') return
  const current = Number(await readFile(INOTIFY_FILE, 'utf8'))
  if (current >= INOTIFY_INSTANCES) return
  const command = `sysctl fs.inotify.max_user_instances=${INOTIFY_INSTANCES}`
  try {
    await writeFile(INOTIFY_FILE, String(INOTIFY_INSTANCES))
    progress.say(`Raised inotify instances from ${current} to ${INOTIFY_INSTANCES} (${command}): each pod takes four`)
  } catch {
    progress.say(`Only ${current} inotify instances per user: pods may fail to start. Raise them with: sudo ${command}`)
  }
}

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
  if (!answer.running && !(isOursToStart() && /cannot connect|no such file/i.test(answer.why))) throw noEngine(answer.why)
  return answer.running
}

/** An address that somebody has set names an engine of theirs: starting another one would not answer there. */
const isOursToStart = () => process.platform === 'linux' && isRoot() && givenHost === undefined

/** testcontainers looks for an engine by itself; it must find the one that the docker command talks to. */
export async function pointAtEngine(): Promise<void> {
  if (process.env.DOCKER_HOST !== undefined) return
  const { stdout } = await docker(['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}'])
  process.env.DOCKER_HOST = stdout.trim()
}

async function engineAnswer(): Promise<{ running: true } | { running: false; why: string }> {
  try {
    await docker(['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 })
    return { running: true }
  } catch (thrown) {
    const why = thrown instanceof ExecError ? (thrown.stderr.trim().split('\n').at(-1) ?? '') : messageOf(thrown)
    return { running: false, why }
  }
}

function noEngine(why: string): UserError {
  return new UserError({ what: 'Cannot use a Docker Engine', why, next: nextStep(why) })
}

function nextStep(why: string): string {
  if (givenHost !== undefined) return `Start the engine at DOCKER_HOST '${givenHost}', or unset it`
  if (process.platform !== 'linux') return 'Start Docker Desktop, Colima or Rancher Desktop and run this again'
  if (/permission denied/i.test(why)) return 'Run: sudo usermod -aG docker "$USER", log in again, and run this again'
  return `Run: sudo apt-get install -y ${ENGINE_PACKAGES.join(' ')} && sudo systemctl start docker && sudo usermod -aG docker "$USER", then log in again`
}

async function installEngine(progress: Progress, signal: AbortSignal): Promise<void> {
  if (!(await hasProgram('apt-get'))) throw noEngine('dockerd is not installed and this system has no apt-get')
  await aptInstall(ENGINE_PACKAGES, { progress, signal })
  if (!(await hasProgram('docker'))) await aptInstall(['docker-cli'], { progress, signal }) // a package of its own since Debian 13
}

/** dockerd in a session of its own, so that neither the end of this command nor its Ctrl-C reaches it. */
async function startEngine(signal: AbortSignal): Promise<void> {
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
  await waitFor(
    'Docker Engine to answer',
    async () => {
      if (ended !== undefined) return terminal(`${ended}: ${await lastLogLine()}`, `Its log is ${engineLog}`)
      const answer = await engineAnswer()
      return answer.running ? ready(undefined) : pending(answer.why)
    },
    { timeoutMs: 60_000, everyMs: 200, signal },
  )
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

/** Stops the engine if it is one that we started, and what it leaves in the kernel goes. @returns whether it was. */
export async function stopEngine(): Promise<boolean> {
  const pid = await ownEngine()
  if (pid === undefined) return false
  await endEngine(pid)
  const before = await readFile(kernelFile, 'utf8').catch(() => undefined)
  if (before !== undefined) await removeTraces(JSON.parse(before) as KernelBefore)
  for (const file of [engineFile, engineLog, kernelFile]) await rm(file, { force: true })
  return true
}

/** Stops the engine and starts it again, as after an update of it. @throws Failure where it is none of ours */
export async function restartEngine(signal: AbortSignal): Promise<void> {
  const pid = await ownEngine()
  if (pid === undefined) throw new Failure({ what: 'Cannot restart the engine', why: 'local:up has not started it' })
  await endEngine(pid)
  await startEngine(signal)
}

async function endEngine(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM')
  await waitFor('Docker Engine to stop', async () => ((await isProcess(pid, 'dockerd')) ? pending('running') : ready(undefined)), {
    timeoutMs: 60_000,
    everyMs: 200,
  })
}

/** A process number is used again: only its program's name tells whether it is still the same. */
async function isProcess(pid: number, program: string): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  return name.trim() === program
}

/** The address that the engine's user meets when it is remote: not supported, since ports are published on this machine. */
export function failIfRemoteEngine(): void {
  const host = process.env.DOCKER_HOST ?? ''
  if (/^(tcp|ssh):/.test(host))
    throw new Failure({ what: 'Cannot use a remote Docker Engine', why: `DOCKER_HOST is '${host}'`, next: 'Unset DOCKER_HOST' })
}
