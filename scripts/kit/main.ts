/** The one place that parses flags, turns signals into an abort, catches, prints and sets the exit code. */
import { Command, CommanderError } from 'commander'
import { hasExitCode, Interrupted, messageOf } from './errors.ts'
import { createProgress, type Progress } from './progress.ts'
import { sweepTemporary } from './temporary.ts'

export interface Invocation<Flags> {
  readonly flags: Flags
  readonly args: readonly string[]
  /** Aborts on Ctrl-C or SIGTERM; everything long takes it. */
  readonly signal: AbortSignal
  readonly progress: Progress
}

export interface CommandSpec<Flags> {
  /** As typed: `npm run local:up`. */
  readonly name: string
  readonly summary: string
  readonly example: string
  /** Adds flags and arguments to the parser. */
  readonly declare?: (command: Command) => Command
  /** Lines for below the message of a failure; a UserError has said its next step itself. */
  readonly explain?: (message: string, flags: Flags) => Promise<readonly string[]>
  /** @returns the exit code; nothing means 0. */
  readonly run: (invocation: Invocation<Flags>) => Promise<number | undefined>
}

/** Who asked for a description instead of a run. */
let describing: ((spec: AnyCommandSpec) => void) | undefined

/** What can be said of a command without running it. */
export type AnyCommandSpec = Pick<CommandSpec<never>, 'name' | 'summary' | 'example' | 'declare'>

/** Loads the file of a command and says what it declares; the command does not run. One file at a time. @throws where it declares none */
export async function describeCommand(load: () => Promise<unknown>): Promise<AnyCommandSpec> {
  const declared = new Promise<AnyCommandSpec>((resolve) => {
    describing = resolve
  })
  const loaded = load().then(() => {
    throw new Error('The file ended without calling main()')
  })
  try {
    return await Promise.race([declared, loaded])
  } finally {
    describing = undefined
  }
}

/** Runs a command and ends the process with its exit code: 0, 1 failure, 2 bad input or refused, 130/143 interrupted. */
export async function main<Flags>(spec: CommandSpec<Flags>): Promise<never> {
  describing?.(spec)
  if (describing !== undefined) return new Promise<never>(() => {})
  const code = await runWithProgress(spec)
  await flush()
  process.exit(code)
}

async function runWithProgress<Flags>(spec: CommandSpec<Flags>): Promise<number> {
  using progress = createProgress()
  const abort = new AbortController()
  let flags: Flags | undefined
  try {
    const parsed = parse(spec, process.argv.slice(2))
    flags = parsed.flags
    listenForSignals(abort, progress)
    await sweepTemporary()
    return (await spec.run({ ...parsed, signal: abort.signal, progress })) ?? 0
  } catch (thrown) {
    const reason: unknown = abort.signal.aborted ? abort.signal.reason : thrown
    const code = report(reason, progress)
    if (code !== 1 || flags === undefined) return code
    for (const line of await explanation(spec, reason, flags)) progress.say(line)
    return code
  }
}

/** What cannot be explained has failed all the same, and its own sentence stands. */
async function explanation<Flags>({ explain }: CommandSpec<Flags>, reason: unknown, flags: Flags): Promise<readonly string[]> {
  try {
    return (await explain?.(messageOf(reason), flags)) ?? []
  } catch (thrown) {
    return [`What else there is to say of it cannot be found out: ${messageOf(thrown)}`]
  }
}

/** Parses `argv`. Exported for the tests. */
export function parse<Flags>(spec: CommandSpec<Flags>, argv: readonly string[]): { flags: Flags; args: string[] } {
  const command = parserOf(spec)
  command.parse([...argv], { from: 'user' })
  return { flags: command.opts() as Flags, args: command.args }
}

/** A command's parser, with its help. */
export function parserOf(spec: AnyCommandSpec): Command {
  const command = new Command(`npm run ${spec.name} --`)
    .description(spec.summary)
    .addHelpText('after', `\nExample:\n  ${spec.example}`)
    .allowExcessArguments(false)
    .showSuggestionAfterError()
    .exitOverride()
  spec.declare?.(command)
  return command
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
type Signal = (typeof SIGNALS)[number]

/**
 * What a terminal sends reaches the bootstrap too, once by the terminal and once by npm. It cannot tell whether it reached us, and passes it
 * on as a message: one that only asks to stop, and never counts as the second signal.
 */
function listenForSignals(abort: AbortController, progress: Progress): void {
  const stop = (signal: Signal, hint = '') => {
    if (abort.signal.aborted) return
    progress.say(`${signal}: stopping${hint} …`)
    abort.abort(interruptedBy(signal))
  }
  let count = 0
  const onSignal = (signal: Signal) => {
    count += 1
    if (count > 1) process.exit(interruptedBy(signal).exitCode)
    stop(signal, ' (once more to stop at once)')
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  process.on('message', (message) => {
    if (SIGNALS.includes(message as Signal)) stop(message as Signal)
  })
  process.channel?.unref() // to listen to it holds nothing up
}

/** SIGHUP is a terminal that was closed. */
const interruptedBy = (signal: Signal) => new Interrupted(signal === 'SIGHUP' ? 'SIGTERM' : signal)

function report(thrown: unknown, progress: Progress): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2 // it has printed its own sentence
  if (hasExitCode(thrown)) {
    progress.say(thrown.message)
    return thrown.exitCode
  }
  const stack = thrown instanceof Error ? thrown.stack : messageOf(thrown)
  progress.say(`This is a bug in Holdfast, please report it with the lines below:\n${stack}`)
  return 1
}

/** Says a result on stdout, which nothing else is written to. @returns the exit code of a command whose whole work that is */
export function print(text: string): 0 {
  process.stdout.write(`${text}\n`)
  return 0
}

/** `process.exit` drops what a pipe has not taken yet. */
async function flush(): Promise<void> {
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((done) => stream.write('', () => done()))))
}
