/** Terraform as a class: one folder of configuration, one state, JSON in and out. */

import { type ChildProcess, spawn } from 'node:child_process'
import { open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { exitOf, feedLines, follow } from '#kit/group'
import { ensureDir } from '#kit/paths'
import { signalIfThere } from '#kit/process'
import type { Note } from '#kit/progress'
import { temporaryFolder } from '#kit/temporary'
import { errorsIn, explain, parseEvent, progressOf, stepsIn, type TerraformEvent } from './events.ts'
import type { OwnLock } from './lock.ts'
import type { RawOutputs } from './outputs.ts'
import type { PlanJson } from './plan.ts'
import { cliSettings, findToolchain, type Toolchain } from './toolchain.ts'

export interface TerraformOptions {
  /** The root module. Nothing is written into it. */
  readonly folder: string
  /** Where the backend's settings and the provider's link are kept: one per environment, since they share the root module. */
  readonly dataDir: string
  /** Added to the process's own environment: credentials, `AWS_ENDPOINT_URL`. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Asks Terraform to stop, once; what it began it ends and writes into the state. */
  readonly signal?: AbortSignal | undefined
  /** Remembers the state's lock for as long as it is held. @default nobody */
  readonly lock?: OwnLock
  /** @default what is found on this machine */
  readonly toolchain?: Toolchain
}

export type Variable = string | number | boolean | readonly string[] | Readonly<Record<string, string>> | null

export interface Backend {
  /** Partial settings, such as `environments/dev.s3.tfbackend`. */
  readonly file?: string
  readonly values?: Readonly<Record<string, string | boolean>>
}

export interface PlanOptions {
  readonly varFiles?: readonly string[]
  readonly variables?: Readonly<Record<string, Variable>>
  /** Plans to destroy everything instead. */
  readonly destroy?: boolean
  /** How long to wait for the state's lock; `'none'` takes none, for who may only read. @default '0s' */
  readonly lockTimeout?: string
  readonly note?: Note
}

export interface SavedPlan {
  /** What `apply` takes: holds values in clear, so it is kept where only its owner reads it. */
  readonly file: string
  readonly isEmpty: boolean
  /** What an apply makes, changes and destroys: a resource that is replaced is two. */
  readonly steps: number
}

interface Ended {
  readonly exitCode: number | undefined
  readonly events: readonly TerraformEvent[]
  /** The output's lines as they came. */
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** What could not be done where it fails, as in `Cannot apply`. */
  readonly what: string
  /** Exit codes that are an answer. @default [0] */
  readonly accept?: readonly number[]
  readonly onEvent?: (event: TerraformEvent) => void
}

/** Events of a run that has the lock; before, it may say that it waits for somebody else's, or was refused for it. */
const BEHIND_THE_LOCK = /^(refresh|apply|provision|planned|resource_drift|change_summary)/

export class Terraform implements AsyncDisposable {
  readonly toolchain: Toolchain
  readonly #options: TerraformOptions
  /** Settings and plans: readable by their owner only, gone with the object. */
  readonly #private: string
  #runs = 0

  private constructor(options: TerraformOptions, toolchain: Toolchain, folder: string) {
    this.#options = options
    this.toolchain = toolchain
    this.#private = folder
  }

  /** @throws UserError where there is no Terraform. */
  static async open(options: TerraformOptions): Promise<Terraform> {
    const toolchain = options.toolchain ?? (await findToolchain({ ...process.env, ...options.env }))
    const { path: folder } = await temporaryFolder('terraform')
    await writeFile(join(folder, 'settings.tfrc'), await cliSettings(toolchain), { mode: 0o600 })
    ensureDir(options.dataDir)
    return new Terraform(options, toolchain, folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#private, { recursive: true, force: true })
  }

  /** Links the provider and, unless told `'none'`, opens the state. The lock file stays as it is. */
  async init(backend: Backend | 'none'): Promise<void> {
    const { file, values = {} } = backend === 'none' ? {} : backend
    const settings = Object.entries(values).map(([name, value]) => `-backend-config=${name}=${value}`)
    const state =
      backend === 'none' ? ['-backend=false'] : ['-reconfigure', ...(file === undefined ? [] : [`-backend-config=${file}`]), ...settings]
    await this.run(['init', '-json', '-input=false', '-lockfile=readonly', ...state], { what: 'Cannot prepare Terraform' })
  }

  /** Plans into a file. */
  async plan({ varFiles = [], variables = {}, destroy = false, lockTimeout = '0s', note }: PlanOptions = {}): Promise<SavedPlan> {
    const file = join(this.#private, `${destroy ? 'destroy' : 'apply'}.tfplan`)
    const given = join(this.#private, 'given.tfvars.json')
    await writeFile(given, JSON.stringify(variables), { mode: 0o600 })
    const files = [...varFiles, given].map((path) => `-var-file=${path}`)
    const args = [
      'plan',
      '-json',
      '-input=false',
      '-detailed-exitcode',
      lockTimeout === 'none' ? '-lock=false' : `-lock-timeout=${lockTimeout}`,
      `-out=${file}`,
      ...files,
    ]
    const { exitCode, events } = await this.run([...args, ...(destroy ? ['-destroy'] : [])], {
      what: 'Cannot plan',
      accept: [0, 2],
      ...(note === undefined ? {} : { onEvent: ({ '@message': message }) => note(message) }),
    })
    return { file, isEmpty: exitCode === 0, steps: stepsIn(events) }
  }

  /** Carries out exactly that plan. What was made before a failure stays, and is in the state: a new plan goes on from there. */
  async apply({ file, steps }: SavedPlan, note?: Note): Promise<void> {
    await this.run(['apply', '-json', '-input=false', file], {
      what: 'Cannot apply',
      ...(note === undefined ? {} : { onEvent: progressOf(note, steps) }),
    })
  }

  /** A plan as JSON. Takes as long as the half of planning, since the provider is asked once more how it is to be read. */
  async show({ file }: Pick<SavedPlan, 'file'>): Promise<PlanJson> {
    const { stdout } = await this.run(['show', '-json', file], { what: 'Cannot read the plan' })
    return JSON.parse(stdout) as PlanJson
  }

  /** The outputs as Terraform has them; empty where nothing was applied. */
  async output(): Promise<RawOutputs> {
    const { stdout } = await this.run(['output', '-json'], { what: 'Cannot read the outputs' })
    return JSON.parse(stdout) as RawOutputs
  }

  /** The addresses in the state. */
  async stateList(): Promise<string[]> {
    const { stdout, stderr, exitCode } = await this.run(['state', 'list'], { what: 'Cannot read the state', accept: [0, 1] })
    if (exitCode === 0) return stdout.split('\n').filter((line) => line !== '')
    if (stderr.includes('No state file was found')) return []
    throw explain('Cannot read the state', [], stderr)
  }

  /** Takes that lock away, whoever holds it. */
  async unlock(id: string): Promise<void> {
    await this.run(['force-unlock', '-force', id], { what: `Cannot take the lock ${id} away` })
  }

  /** Runs any subcommand. @throws Failure with Terraform's own diagnostics, UserError where a variable refuses its value. */
  async run(args: readonly string[], { what, accept = [0], onEvent }: RunOptions): Promise<Ended> {
    const ended = await this.#spawn(args, onEvent)
    this.#options.signal?.throwIfAborted()
    if (ended.exitCode !== undefined && accept.includes(ended.exitCode)) return ended
    throw explain(what, errorsIn(ended.events), ended.stderr || ended.stdout)
  }

  async #spawn(args: readonly string[], onEvent?: (event: TerraformEvent) => void): Promise<Ended> {
    const { folder, signal } = this.#options
    signal?.throwIfAborted()
    this.#runs += 1
    const [stdoutPath, stderrPath] = ['stdout', 'stderr'].map((name) => join(this.#private, `${name}-${this.#runs}`)) as [string, string]
    await using stdoutFile = await open(stdoutPath, 'w', 0o600)
    await using stderrFile = await open(stderrPath, 'w', 0o600)
    // A group of its own: Ctrl-C in a terminal would reach it too, and its second signal makes Terraform give up its state. And files
    // in place of pipes: where we are killed it goes on, ends what it began, and gives the lock back.
    const child = spawn(this.toolchain.program, args, {
      cwd: folder,
      env: this.#env(),
      stdio: ['ignore', stdoutFile.fd, stderrFile.fd],
      detached: true,
    })
    const stop = () => interrupt(child)
    signal?.addEventListener('abort', stop, { once: true })
    let hasEnded = false
    const exited = exitOf(child).finally(() => {
      hasEnded = true
      signal?.removeEventListener('abort', stop)
    })
    const [stdout, stderr, events]: [string[], string[], TerraformEvent[]] = [[], [], []]
    const lock = this.#holds(args, child)
    const onLine = (line: string) => {
      stdout.push(line)
      const event = parseEvent(line)
      if (event === undefined) return
      events.push(event)
      lock?.seen(event)
      onEvent?.(event)
    }
    const lines = (path: string, each: (text: string) => void) => feedLines(Readable.from(follow(path, () => hasEnded)), each)
    const [exitCode] = await Promise.all([exited, lines(stdoutPath, onLine), lines(stderrPath, (line) => void stderr.push(line))])
    await lock?.over(exitCode)
    return { exitCode, events, stdout: stdout.join('\n'), stderr: stderr.join('\n') }
  }

  /** Remembers the lock from the first event behind it to the end. One that a signal ended may not have given it back. */
  #holds(args: readonly string[], { pid }: ChildProcess) {
    const { lock } = this.#options
    const locks = (args[0] === 'plan' || args[0] === 'apply') && !args.includes('-lock=false')
    if (lock === undefined || pid === undefined || !locks) return undefined
    let begun: Promise<void> | undefined
    return {
      seen({ type }: TerraformEvent) {
        if (!BEHIND_THE_LOCK.test(type) || begun !== undefined) return
        begun = lock.begun(pid)
        begun.catch(() => {}) // it is told at the end
      },
      async over(exitCode: number | undefined) {
        await begun
        if (begun !== undefined && exitCode !== undefined) await lock.ended()
      },
    }
  }

  /** Without what a user may have set for Terraform elsewhere: arguments, variables, a workspace. Logging stays. */
  #env(): Record<string, string | undefined> {
    const inherited = Object.entries({ ...process.env, ...this.#options.env }).filter(([name]) => !/^TF_(?!LOG)/.test(name))
    return {
      ...Object.fromEntries(inherited),
      TF_DATA_DIR: this.#options.dataDir,
      TF_CLI_CONFIG_FILE: join(this.#private, 'settings.tfrc'),
      TF_IN_AUTOMATION: '1',
    }
  }
}

/** One signal, to Terraform alone: to its providers it would be the end in the midst of a request. */
function interrupt({ pid }: ChildProcess): void {
  if (pid !== undefined) signalIfThere(pid, 'SIGINT')
}
