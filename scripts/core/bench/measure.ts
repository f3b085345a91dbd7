/** What a measure is, and how it runs commands: as a person types them. */
import { exec } from '#kit/exec'
import type { Cluster, Run, Stack } from '../types.ts'
import type { StepTime, Values } from './results.ts'

/** The cluster that is measured: one of its own, so that nothing of the user's is touched or counts. */
export const BENCH_CLUSTER = 'bench'

export interface Measure {
  readonly name: string
  readonly about: string
  /** How often without `--runs`. */
  readonly runs: number
  /** Whether a stack must be there, all Healthy, before it begins. */
  readonly onStack: boolean
  /** Only with `--cold`. @default false */
  readonly isCold?: boolean
  /** Makes ready what all runs share. */
  readonly open: (bench: Bench) => Promise<Bout>
}

/** A measure that has begun; disposing undoes what it changed. */
export interface Bout extends AsyncDisposable {
  /** @param number from 1, also of a series that goes on. @throws where nothing was measured: no data is never a value. */
  readonly run: (number: number) => Promise<{ readonly values: Values; readonly steps?: readonly StepTime[] }>
}

/** What measures act with. */
export interface Bench extends Run {
  readonly stack: Stack
  readonly npm: Npm
  /** @throws Failure where the cluster does not run. */
  readonly cluster: () => Promise<Cluster>
}

export type Npm = (command: string, args?: readonly string[], options?: NpmOptions) => Promise<Timed>

export interface NpmOptions {
  /** Where it is typed. @default the project's root */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Called with each line as it comes. */
  readonly onLine?: (line: string) => void
}

export interface Timed {
  /** From the start of npm to its end. */
  readonly ms: number
  readonly stdout: string
}

/** `npm run <command> -- --name bench …`: with all that a person waits for. @throws ExecError where it does not end well. */
export function createNpm(root: string, signal: AbortSignal): Npm {
  return async (command, args = [], { cwd = root, ...options } = {}) => {
    const started = performance.now()
    const { stdout } = await exec('npm', ['run', '--silent', command, '--', '--name', BENCH_CLUSTER, ...args], { cwd, ...options, signal })
    return { ms: Math.round(performance.now() - started), stdout }
  }
}

export const nothingToUndo = { [Symbol.asyncDispose]: async () => {} }

const SHOWN_MS = 500

/** The steps that took long, of what `--timings json` printed. */
export function stepsOf(stdout: string): StepTime[] {
  const { steps } = JSON.parse(stdout) as { steps: readonly { step: string; ms: number }[] }
  return steps.filter(({ ms }) => ms >= SHOWN_MS).map(({ step, ms }) => [step, ms])
}
