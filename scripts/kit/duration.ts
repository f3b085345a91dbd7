/** Durations as Prometheus, Alertmanager and Argo CD write them: `15s`, `5m`, `1h30m`. */

const UNITS_MS = { y: 31_536_000_000, w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const
/** Each unit at most once, the largest first, as Prometheus has it. */
const DURATION = /^(?=\d)(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/

/** `'1h30m'` in milliseconds. @throws RangeError on anything else, also on a number without a unit. */
export function parseDuration(text: string): number {
  const counts = DURATION.exec(text)?.slice(1)
  const ms = counts?.reduce((sum, count, i) => sum + Number(count ?? 0) * (Object.values(UNITS_MS)[i] ?? 0), 0)
  if (ms === undefined || !Number.isSafeInteger(ms)) throw new RangeError(`'${text}' is not a duration such as 15s, 5m or 1h30m`)
  return ms
}

/** Milliseconds in hours and smaller units, nothing lost: `90000` is `1m30s`. @throws RangeError on a fraction or less than 0. */
export function formatDuration(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms < 0) throw new RangeError(`${ms} ms is not a duration in whole milliseconds`)
  if (ms === 0) return '0s'
  let restMs = ms
  const parts = (['h', 'm', 's', 'ms'] as const).map((unit) => {
    const count = Math.floor(restMs / UNITS_MS[unit])
    restMs -= count * UNITS_MS[unit]
    return count === 0 ? '' : `${count}${unit}`
  })
  return parts.join('')
}

/**
 * The same duration on a clock that runs `factor` times as fast: `sped('5m', 15)` is `20s`.
 * @throws RangeError where that is no whole number of milliseconds: rounded, it would no longer fit the others.
 */
export function sped(duration: string, factor: number): string {
  if (!(factor > 0 && Number.isFinite(factor))) throw new RangeError(`${factor} is not a factor that a clock can run by`)
  const ms = parseDuration(duration)
  if (factor === 1) return duration
  if (!Number.isInteger(ms / factor)) throw new RangeError(`'${duration}' cannot run ${factor} times as fast in whole milliseconds`)
  return formatDuration(ms / factor)
}
