/** Claims about load that many scenarios make. Too little load shows nothing, whatever came of it. */
import { type LoadProfile, type LoadSecond, type LoadSummary, unmeasured } from './load.ts'
import { type Claim, type ClaimResult, type Evidence, isFrom, type RecordedEvent } from './scenario.ts'

export const LOAD_SOURCE = 'load'
/** What the end of a load is told as. */
export const summaryOf = (source: string) => `${source} summary`
export const SUMMARY_SOURCE = summaryOf(LOAD_SOURCE)

/** Every second of load that was told, of one stage or of all. */
export function loadSeconds({ events }: Pick<Evidence, 'events'>, stage?: string): LoadSecond[] {
  const seconds = events.flatMap((event) => (isFrom(LOAD_SOURCE, event) ? [event.value as LoadSecond] : []))
  return stage === undefined ? seconds : seconds.filter((second) => second.stage === stage)
}

/** Whether an event tells that load has ended. */
export function isSummary(event: RecordedEvent): boolean {
  return isFrom(SUMMARY_SOURCE, event)
}

/** Nearly all of the planned requests were sent, none was held back: else the generator was measured, not the service. */
export function loadMeasured({ name }: LoadProfile): Claim {
  return {
    name: `load '${name}' was measured`,
    check(evidence) {
      const summary = evidence.events.findLast((event) => isFrom(SUMMARY_SOURCE, event))
      if (summary === undefined || !('value' in summary)) return { outcome: 'no data', seen: 'it did not end by itself' }
      return measured(summary.value as LoadSummary)
    },
  }
}

function measured(summary: LoadSummary): ClaimResult {
  const { planned, requests, dropped } = summary
  const why = unmeasured(summary)
  return why === undefined
    ? { outcome: 'true', seen: `${requests} of ${planned} requests sent, ${dropped} dropped` }
    : { outcome: 'no data', seen: why }
}

/** Every request was answered as expected; at least `least` of them. */
export function noRequestFailed(least: number): Claim {
  return {
    name: 'no request failed',
    check(evidence) {
      const [requests, failed] = [total(evidence, 'requests'), total(evidence, 'failed')]
      const seen = `${failed} of ${requests} failed`
      if (failed > 0) return { outcome: 'false', seen }
      return { outcome: requests >= least ? 'true' : 'no data', seen }
    },
  }
}

/** How many requests, over all seconds of one stage or of all. */
export function total(evidence: Pick<Evidence, 'events'>, what: 'requests' | 'failed', stage?: string): number {
  return loadSeconds(evidence, stage).reduce((sum, second) => sum + second[what], 0)
}
