/**
 * uvu with guards. Left alone, uvu 0.5 is green on: a hook that throws, a thrown non-Error, a forgotten `.run()`, a file
 * without tests; and it has no time limit (https://github.com/lukeed/uvu/issues/60, 80, 201, 229). So every test and hook
 * goes through a guard, the counts are ours, and uvu only prints.
 */
import { realpathSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import * as uvuAssert from 'uvu/assert'
import type { Report } from '#kit/counts'
import { messageOf } from '#kit/errors'
import { formatMs } from '#kit/progress'

export interface TestContext {
  /** Aborts when the time is over or the run is interrupted, so that a wait inside does not run on. */
  readonly signal: AbortSignal
}

export interface CaseOptions {
  /** @default 10_000 */
  readonly timeoutMs?: number
}

export type Body = (context: TestContext) => unknown
type Hook = (body: Body, options?: CaseOptions) => void

export interface Test {
  (name: string, body: Body, options?: CaseOptions): void
  readonly before: Hook & { readonly each: Hook }
  readonly after: Hook & { readonly each: Hook }
  /** Counted and printed; fails where `--require` names a word of the reason. */
  skip(name: string, reason: string): void
  run(): void
}

interface Case {
  readonly name: string
  readonly body: Body
  readonly timeoutMs: number
}

interface Suite {
  readonly name: string
  readonly cases: Case[]
  readonly hooks: Readonly<Record<HookName, Case[]>>
  skips: number
  begun: number
  handedOver: boolean
}

type HookName = 'before' | 'after' | 'before.each' | 'after.each'

const TIMEOUT_MS = 10_000
/** How long a file may live on after its last test before what holds it is called a leak. */
const LEAK_MS = 3000

// uvu starts by itself, perhaps before the file is read to its end, unless it is told on loading that someone else does.
Object.assign(globalThis, { UVU_DEFER: 1, UVU_QUEUE: [[null]] })
const uvu = await import('uvu')

const suites: Suite[] = []
const skips: string[] = []
const counts = { passed: 0, failed: 0 }
let reported = false

process.on('unhandledRejection', (reason) => fail('unhandled rejection', reason))
process.on('uncaughtException', (thrown) => fail('uncaught exception', thrown))
process.on('exit', onExit)
const interrupted = new AbortController()
process.once('SIGTERM', () => interrupted.abort(new Error('interrupted by SIGTERM')))
// Nobody is left to report to; a channel that is only listened to would hold the process.
process.once('disconnect', () => process.exit(1))
process.channel?.unref()
const main = pathToFileURL(realpathSync(process.argv[1] ?? '')).href
// The file that is being loaded is what runs: importing it again waits until it has been read to its end.
void import(main).then(runSuites, onLoadError).then(settle)

/** Declares a suite; `.run()` at the end of the file is not optional. */
export function suite(name: string): Test {
  const hooks = { before: [], after: [], 'before.each': [], 'after.each': [] }
  const self: Suite = { name, cases: [], hooks, skips: 0, begun: 0, handedOver: false }
  suites.push(self)
  const declare = (list: Case[], title: string, work: CaseOptions & { body: Body }) => {
    if (self.handedOver) throw new Error(`Cannot declare '${title}' after .run() of '${name}'`)
    list.push({ name: title, timeoutMs: TIMEOUT_MS, ...work })
  }
  const hook =
    (key: HookName): Hook =>
    (body, options) =>
      declare(self.hooks[key], `hook '${key}'`, { ...options, body })
  return Object.assign((title: string, body: Body, options?: CaseOptions) => declare(self.cases, title, { ...options, body }), {
    before: Object.assign(hook('before'), { each: hook('before.each') }),
    after: Object.assign(hook('after'), { each: hook('after.each') }),
    skip: (title: string, reason: string) => skip(self, title, reason),
    run: () => handOver(self),
  })
}

/** uvu's assertions, and the one it lacks. */
export const assert: typeof uvuAssert & { rejects: typeof rejects } = { ...uvuAssert, rejects }

/** Asserts that a promise rejects with a message that matches, and returns the error. */
async function rejects(promise: Promise<unknown>, pattern: RegExp | string): Promise<Error> {
  const thrown = await promise.then(
    () => undefined,
    (reason: unknown) => asError(reason),
  )
  const actual = thrown === undefined ? 'a value' : thrown.message
  const matches = thrown !== undefined && (typeof pattern === 'string' ? actual.includes(pattern) : pattern.test(actual))
  if (matches) return thrown
  const message = `Expected a rejection that matches ${pattern}: got ${thrown === undefined ? actual : `'${actual}'`}`
  throw new uvuAssert.Assertion({ message, operator: 'rejects', expects: pattern, actual })
}

function skip(self: Suite, title: string, reason: string): void {
  if (typeof reason !== 'string' || reason.trim() === '') throw new Error(`Cannot skip '${title}' without a reason`)
  self.skips++
  const required = (process.env.HOLDFAST_REQUIRE ?? '')
    .split(',')
    .find((word) => word !== '' && reason.toLowerCase().includes(word.toLowerCase()))
  if (required !== undefined) fail(`'${title}' was skipped, but '${required}' is required`, reason)
  else skips.push(`${self.name}: ${title}: ${reason}`)
}

function handOver(self: Suite): void {
  if (self.handedOver) throw new Error(`Cannot run '${self.name}' twice`)
  self.handedOver = true
  const { hooks } = self
  const inner = uvu.suite(self.name)
  let broken: Error | undefined
  inner.before(async () => {
    broken = await attempt(hooks.before)
  })
  for (const each of self.cases) {
    inner(each.name, async () => {
      self.begun++
      const error = broken ?? (await runCase(self, each))
      if (error === undefined) counts.passed++
      else counts.failed++
      if (error !== undefined) throw error
    })
  }
  inner.after(async () => {
    const error = await attempt(hooks.after)
    if (error !== undefined) fail(`suite '${self.name}'`, error)
  })
  inner.run()
}

/** The hooks after a test run even if it failed; the first error counts. */
async function runCase({ hooks }: Suite, each: Case): Promise<Error | undefined> {
  const error = await attempt([...hooks['before.each'], each])
  const cleanupError = await attempt(hooks['after.each'])
  return error ?? cleanupError
}

/** Runs hooks or a test in order: up to the first that fails, except for what cleans up. */
async function attempt(cases: readonly Case[]): Promise<Error | undefined> {
  let first: Error | undefined
  for (const each of cases) {
    if (first !== undefined && !cleansUp(each)) break
    const error = await attemptOne(each)
    first ??= error
  }
  return first
}

const cleansUp = ({ name }: Case) => name.startsWith("hook 'after")

/** Ends at the deadline, or when the run is interrupted; only what cleans up still runs then. */
async function attemptOne(each: Case): Promise<Error | undefined> {
  const { name, body, timeoutMs } = each
  const stop = new AbortController()
  const signal = cleansUp(each) ? stop.signal : AbortSignal.any([stop.signal, interrupted.signal])
  const timer = setTimeout(() => stop.abort(new Error(`${name} took longer than ${formatMs(timeoutMs)}`)), timeoutMs)
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })
  try {
    signal.throwIfAborted()
    await Promise.race([stopped, (async () => body({ signal }))()])
    return undefined
  } catch (thrown) {
    const error = asError(thrown)
    return name.startsWith('hook ') ? new Error(`${name} threw: ${error.message}`, { cause: error }) : error
  } finally {
    clearTimeout(timer)
  }
}

/** uvu's printer needs an Error with a stack. */
function asError(thrown: unknown): Error {
  return thrown instanceof Error && typeof thrown.stack === 'string' ? thrown : new Error(`${messageOf(thrown)} (not an Error)`)
}

/** Node reports it as an uncaught exception too, and that one has counted. */
function onLoadError(thrown: unknown): void {
  if (counts.failed === 0) fail('cannot load the file', thrown)
}

async function runSuites(): Promise<void> {
  if (suites.length === 0) fail('no suite', 'the file declares none')
  for (const { name, cases, skips: skipped, handedOver } of suites) {
    if (!handedOver) fail(`suite '${name}'`, 'its .run() is missing')
    else if (cases.length + skipped === 0) fail(`suite '${name}'`, 'it has no tests')
  }
  await uvu.exec()
  for (const { name, cases, begun, handedOver } of suites) {
    if (handedOver && begun !== cases.length) fail(`suite '${name}'`, `only ${begun} of ${cases.length} tests ran`)
  }
}

function fail(where: string, thrown: unknown): void {
  counts.failed++
  process.exitCode = 1
  const detail = thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown)
  process.stdout.write(`\n  FAIL  ${where}: ${detail}\n`)
}

/** Reports once nothing is left to do, or once something refuses to end. */
function settle(): void {
  process.once('beforeExit', () => report(() => {}))
  setTimeout(() => {
    const held = process.getActiveResourcesInfo().filter((resource) => !/^(Pipe|TTY|FSReqPromise)/.test(resource))
    fail('the file does not end', `${formatMs(LEAK_MS)} after its last test it is held by ${held.join(', ') || 'something'}`)
    report(() => process.exit(1))
  }, LEAK_MS).unref()
}

function report(done: () => void): void {
  reported = true
  process.exitCode = counts.failed > 0 ? 1 : 0
  for (const line of skips) process.stdout.write(`  skipped ${line}\n`)
  const result: Report = { ...counts, skipped: skips.length, skips }
  if (process.send === undefined) done()
  else process.send(result, () => done())
}

function onExit(): void {
  if (reported) return
  process.exitCode = 1
  process.stdout.write('\n  FAIL  the file ended before its tests did\n')
}
