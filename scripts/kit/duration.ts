/** Durations as Prometheus, Alertmanager and Argo CD write them: `15s`, `5m`, `1h30m`. */

const UNITS_MS = { y: 31_536_000_000, w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const
const DURATION = /^(?:\d+(?:ms|[ywdhms]))+$/
const PART = /(\d+)(ms|[ywdhms])/g

/** `'1h30m'` in milliseconds. @throws RangeError on anything else, also on a number without a unit. */
export function parseDuration(text: string): number {
  if (!DURATION.test(text)) throw new RangeError(`'${text}' is not a duration such as 15s, 5m or 1h30m`)
  return [...text.matchAll(PART)].reduce((sum, [, count, unit]) => sum + Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS], 0)
}

/** Milliseconds in the largest units that lose nothing: `90000` is `1m30s`. */
export function formatDuration(ms: number): string {
  if (!Number.isInteger(ms) || ms < 0) throw new RangeError(`${ms} ms is not a whole, positive duration`)
  if (ms === 0) return '0s'
  let restMs = ms
  const parts = (['h', 'm', 's', 'ms'] as const).map((unit) => {
    const count = Math.floor(restMs / UNITS_MS[unit])
    restMs -= count * UNITS_MS[unit]
    return count === 0 ? '' : `${count}${unit}`
  })
  return parts.join('')
}

/** The same duration on a clock that runs `factor` times as fast, at least a second: `sped('5m', 15)` is `20s`. */
export function sped(duration: string, factor: number): string {
  const ms = parseDuration(duration)
  return ms === 0 ? duration : formatDuration(Math.max(1000, Math.round(ms / factor)))
}
