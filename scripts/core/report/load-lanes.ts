/** What was sent, and what came of it, second by second. */
import { LOAD_SOURCE } from '../evidence.ts'
import type { LoadSecond } from '../load.ts'
import type { Observation } from '../scenario.ts'
import { type Bar, type Lane, rounded, SECOND_MS, type Source, shaped } from './lane.ts'

/** Of the load first, then of every other source that sends. */
export function loadLanes(source: Source): Lane[] {
  const senders = shaped(source, 'second').toSorted(([a], [b]) => Number(b === LOAD_SOURCE) - Number(a === LOAD_SOURCE))
  return senders.flatMap(([name, told]) => senderLanes(name === LOAD_SOURCE ? '' : `${name}: `, told, source))
}

function senderLanes(prefix: string, told: readonly Observation[], { since }: Source): Lane[] {
  const seconds = [...Map.groupBy(told, ({ atMs }) => atMs)].map(([atMs, all]) => ({
    toMs: since(atMs),
    all: all.map(({ value }) => value as LoadSecond),
  }))
  const bars = (pick: (second: LoadSecond) => number) =>
    seconds.map(({ toMs, all }) => ({ fromMs: toMs - SECOND_MS, toMs, value: all.reduce((sum, second) => sum + pick(second), 0) }))
  const [answered, failed] = [bars(({ requests, failed: lost }) => requests - lost), bars(({ failed: lost }) => lost)]
  const p95 = seconds.map(({ toMs, all }) => ({ atMs: toMs - SECOND_MS / 2, value: Math.max(...all.map(({ p95Ms }) => p95Ms)) }))
  const [ok, lost] = [sumOf(answered), sumOf(failed)]
  return [
    {
      kind: 'bars',
      title: `${prefix}Requests per second`,
      sum: `${ok + lost} sent, ${lost} failed`,
      unit: '/s',
      layers: [
        { name: 'as expected', tone: 'info', bars: answered },
        { name: 'failed', tone: 'bad', bars: failed },
      ],
    },
    ...errorShare(prefix, answered, failed),
    {
      kind: 'lines',
      title: `${prefix}p95 of each second`,
      sum: `at most ${Math.max(...p95.map(({ value }) => value))} ms`,
      unit: 'ms',
      isStep: false,
      series: [{ name: 'p95', tone: 'info', points: p95 }],
    },
  ]
}

const sumOf = (bars: readonly Bar[]) => bars.reduce((sum, { value }) => sum + value, 0)

/** Without a failed request there is nothing to see, and the lane above has said so. */
function errorShare(prefix: string, answered: readonly Bar[], failed: readonly Bar[]): Lane[] {
  if (sumOf(failed) === 0) return []
  const bars = failed.map((bar, i) => ({ ...bar, value: (100 * bar.value) / (bar.value + (answered[i]?.value ?? 0)) }))
  const worst = Math.max(...bars.map(({ value }) => value))
  return [
    {
      kind: 'bars',
      title: `${prefix}Error share`,
      sum: `${rounded((100 * sumOf(failed)) / (sumOf(failed) + sumOf(answered)))} %, at most ${rounded(worst)} %`,
      unit: '%',
      layers: [{ name: 'failed', tone: 'bad', bars }],
    },
  ]
}
