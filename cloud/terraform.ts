/** Terraform as a class: one folder of configuration, one state, JSON in and out. */

import { type ChildProcess, spawn } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exitOf, feedLines } from '#kit/group'
import { ensureDir } from '#kit/paths'
import type { Note } from '#kit/progress'
import { temporaryFolder } from '#kit/temporary'
import { errorsIn, explain, parseEvent, progressOf, type TerraformEvent } from './events.ts'
import type { RawOutputs } from './outputs.ts'
import { type PlanJson, stepsOf } from './plan.ts'
import { cliSettings, findToolchain, type Toolchain } from './toolchain.ts'

export interface TerraformOptions {
  /** The root module. Nothing is written into it. */
  readonly folder: string
  /** Where the backend's settings and the provider's link are kept: one per environment, since they share the root module. */
  readonly dataDir: string
  /** Added to the process's own environment: credentials, `AWS_ENDPOINT_URL`. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Asks Terraform to stop, once; what it began it ends and writes into the state. */
  readonly signal?: AbortSignal
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
  readonly json: PlanJson
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

export class Terraform implements AsyncDisposable {
  readonly toolchain: Toolchain
  readonly #options: TerraformOptions
  /** Settings and plans: readable by their owner only, gone with the object. */
  readonly #private: string

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

  /** Plans into a file and reads it back. */
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
    const { exitCode } = await this.run([...args, ...(destroy ? ['-destroy'] : [])], {
      what: 'Cannot plan',
      accept: [0, 2],
      ...(note === undefined ? {} : { onEvent: ({ '@message': message }) => note(message) }),
    })
    return { file, isEmpty: exitCode === 0, json: await this.show(file) }
  }

  /** Carries out exactly that plan. What was made before a failure stays, and is in the state: a new plan goes on from there. */
  async apply({ file, json }: SavedPlan, note?: Note): Promise<void> {
    await this.run(['apply', '-json', '-input=false', file], {
      what: 'Cannot apply',
      ...(note === undefined ? {} : { onEvent: progressOf(note, stepsOf(json)) }),
    })
  }

  /** A plan in a file as JSON. */
  async show(file: string): Promise<PlanJson> {
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
    // A group of its own: Ctrl-C in a terminal would reach it too, and its second signal makes Terraform give up its state.
    const child = spawn(this.toolchain.program, args, {
      cwd: folder,
      env: this.#env(),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const stop = () => interrupt(child)
    signal?.addEventListener('abort', stop, { once: true })
    const [stdout, stderr, events]: [string[], string[], TerraformEvent[]] = [[], [], []]
    const onLine = (line: string) => {
      stdout.push(line)
      const event = parseEvent(line)
      if (event === undefined) return
      events.push(event)
      onEvent?.(event)
    }
    const lines = [feedLines(child.stdout, onLine), feedLines(child.stderr, (line) => void stderr.push(line))]
    const exitCode = await exitOf(child).finally(() => signal?.removeEventListener('abort', stop))
    await Promise.all(lines)
    return { exitCode, events, stdout: stdout.join('\n'), stderr: stderr.join('\n') }
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
  try {
    if (pid !== undefined) process.kill(pid, 'SIGINT')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}
