/** Reads a running load from its pod's log to its end, and says what it was worth. */
import { type LoadOptions, type LoadProfile, type LoadSummary, plannedRequests } from '#core'
import type { Kube, KubeObject } from '#kit/kube'
import { followLog, type LogSource } from './follow.ts'
import { CONTAINER, NAMESPACE } from './job.ts'
import { type CountsLine, parseLine } from './lines.ts'
import { durationMs } from './plan.ts'
import { createSeconds } from './seconds.ts'

/** With no line for so long, what is held of a second is all of it. */
const QUIET_MS = 2_000
/** Beyond its own time; the Job's deadline comes first, unless nobody can be asked. */
const OVERDUE_MS = 120_000
const WORDS_KEPT = 3
/** Where there is none, or one that says 0 although something is wrong. */
const NO_EXIT_CODE = -1

export interface Reading extends AsyncDisposable {
  /** Settles with its first request, or with its end where there was none before. */
  readonly begun: Promise<LoadSummary | undefined>
  readonly done: Promise<LoadSummary>
}

/** Reads until the end, or until it is disposed. `done` rejects only where the signal aborts. */
export function readLoad(profile: LoadProfile, options: LoadOptions & { readonly pod: KubeObject }): Reading {
  const stop = new AbortController()
  const overdue = AbortSignal.timeout(durationMs(profile.stages) + OVERDUE_MS)
  const log = logOf(options.cluster.kube, options.pod)
  const first = Promise.withResolvers<undefined>()
  const tally = createTally({ onRequest: () => first.resolve(undefined), onSecond: options.onSecond ?? (() => {}) })
  const read = async (): Promise<End> => {
    const signal = AbortSignal.any([options.signal, stop.signal, overdue])
    for await (const text of followLog(log, { signal })) tally.take(text)
    return endOf(tally.told, log.exit())
  }
  const interrupted = (thrown: unknown): End => {
    if (stop.signal.aborted) return { problem: 'it was stopped before its end' }
    if (overdue.aborted) return { problem: 'its end was not seen' }
    throw thrown
  }
  const done = read()
    .catch(interrupted)
    .finally(tally.end)
    .then((end) => summaryOf(profile, tally.told, end))
  const begun = Promise.race([first.promise, done])
  for (const each of [begun, done]) each.catch(() => {}) // nobody may be waiting for it
  return {
    begun,
    done,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await done.catch(() => {})
    },
  }
}

interface Exit {
  readonly exitCode: number
  /** `OOMKilled`, `Error`. */
  readonly reason: string
}

function logOf(kube: Kube, { metadata, apiVersion, kind }: KubeObject): LogSource & { exit(): Exit | undefined } {
  const ref = { apiVersion, kind, name: metadata.name, namespace: NAMESPACE }
  const path = `/api/v1/namespaces/${NAMESPACE}/pods/${metadata.name}/log?container=${CONTAINER}&follow=true&timestamps=true`
  let exit: Exit | undefined
  return {
    open: (since, signal) => kube.lines(since === undefined ? path : `${path}&sinceTime=${encodeURIComponent(since)}`, signal),
    async state() {
      const pod = await kube.get(ref)
      if (pod?.metadata.uid !== metadata.uid) return 'gone'
      exit = pod?.status?.containerStatuses?.[0]?.state?.terminated
      return exit === undefined ? 'running' : 'ended'
    },
    exit: () => exit,
  }
}

// ── Counting ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Told {
  readonly requests: number
  readonly failed: number
  /** k6's own count, once it is there. */
  readonly counts?: CountsLine
  /** The last things that k6 said beside its requests. */
  readonly words: readonly string[]
}

interface Tally {
  readonly told: Told
  take(text: string): void
  /** Nothing more is to come. */
  end(): void
}

function createTally({ onRequest, onSecond }: Required<Pick<LoadOptions, 'onSecond'>> & { readonly onRequest: () => void }): Tally {
  let told: Told = { requests: 0, failed: 0, words: [] }
  const seconds = createSeconds(onSecond)
  const quiet = setTimeout(() => seconds.settle(), QUIET_MS)
  return {
    get told() {
      return told
    },
    take(text) {
      const line = parseLine(text)
      if (line.kind === 'counts') told = { ...told, counts: line }
      if (line.kind === 'word') told = { ...told, words: [...told.words, line.text].slice(-WORDS_KEPT) }
      if (line.kind !== 'request') return
      told = { ...told, requests: told.requests + 1, failed: told.failed + (line.ok ? 0 : 1) }
      seconds.add(line)
      quiet.refresh()
      onRequest()
    },
    end() {
      clearTimeout(quiet)
      seconds.settle()
    },
  }
}

interface End {
  readonly exitCode?: number
  readonly problem?: string
}

/** How a load ended that was read to its end. Whatever was not counted by k6 itself and by us alike was not measured. */
export function endOf({ requests, counts, words }: Told, exit: Exit | undefined): End {
  if (exit === undefined) return { problem: 'its pod went away before its end' }
  const { exitCode, reason } = exit
  if (exitCode !== 0) return { exitCode, problem: `k6 ended with exit code ${exitCode} (${[reason, ...words].join(': ')})` }
  if (counts === undefined) return { problem: 'k6 ended without its own count' }
  if (counts.requests !== requests) return { problem: `k6 counts ${counts.requests} requests, and told of ${requests}` }
  return { exitCode }
}

function summaryOf(profile: LoadProfile, { requests, failed, counts }: Told, { exitCode = NO_EXIT_CODE, problem }: End): LoadSummary {
  const planned = plannedRequests(profile)
  const summary = { profile: profile.name, planned, requests, dropped: counts?.dropped ?? 0, failed, exitCode }
  return problem === undefined ? summary : { ...summary, problem }
}
