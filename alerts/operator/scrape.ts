/** Scrapes are written with production's intervals; a faster clock shortens them. */
import type { TimingProfile } from '#core'
import { parseDuration, sped } from '#kit/duration'
import type { KubeObject } from '#kit/kube'

/** Prometheus' own. One that is longer than its interval is refused. */
const SCRAPE_TIMEOUT = '10s'

export interface ScrapeTimes {
  readonly interval: string
  readonly timeout: string
}

/** A timeout is how long an answer may take on a busy machine, which does not get faster. */
export function scrapeTimes(interval: string, { speedup }: TimingProfile): ScrapeTimes {
  const shorter = sped(interval, speedup)
  return { interval: shorter, timeout: parseDuration(shorter) < parseDuration(SCRAPE_TIMEOUT) ? shorter : SCRAPE_TIMEOUT }
}

/** A ServiceMonitor on the clock of a timing profile; any other object as it is. */
export function retimed(object: KubeObject, timing: TimingProfile): KubeObject {
  if (object.kind !== 'ServiceMonitor') return object
  return { ...object, spec: { ...object.spec, endpoints: object.spec.endpoints.map(retimedEndpoint(timing)) } }
}

function retimedEndpoint(timing: TimingProfile): (endpoint: { readonly interval: string }) => object {
  return (endpoint) => {
    const { interval, timeout } = scrapeTimes(endpoint.interval, timing)
    return { ...endpoint, interval, scrapeTimeout: timeout }
  }
}
