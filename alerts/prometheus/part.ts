/** Prometheus: what it scrapes, and how long it remembers. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { application, byDigest, type ImageSpec, type Part, readManifest, renderedSource, type Target, type TimingProfile } from '#core'
import { sped } from '#kit/duration'
import type { KubeObject } from '#kit/kube'
import { root } from '#kit/paths'
import { MONITORING_NAMESPACE } from '../operator/part.ts'
import { retimed, scrapeTimes } from '../operator/scrape.ts'
import { PRODUCTION } from '../retime.ts'

const NAME = 'prometheus'
const VERSION = '3.13.5'
const MODULE = 'github.com/prometheus/prometheus'

const prometheusImage: ImageSpec = {
  name: 'prometheus/prometheus',
  tag: `v${VERSION}`,
  upstream: { ref: `quay.io/prometheus/prometheus:v${VERSION}` },
  build: {
    context: 'alerts/prometheus/image',
    inputs: [
      {
        kind: 'go',
        to: 'prometheus',
        goMod: 'alerts/prometheus/module',
        package: `${MODULE}/cmd/prometheus`,
        ldflags: [`-X github.com/prometheus/common/version.Version=${VERSION}`],
        // A third of the compile and half of the program is the clouds' own discovery.
        tags: ['remove_all_sd', 'enable_kubernetes_sd'],
      },
    ],
  },
  deviation: 'no web UI (its module carries none), no promtool, discovers by Kubernetes, file and HTTP only',
}

export const prometheus: Part = {
  name: NAME,
  namespaces: [],
  images: [prometheusImage],
  rendered: async (target) => {
    const objects = [...(await readManifest('alerts/prometheus/manifest.yaml')), ...(await readManifest('alerts/prometheus/monitors.yaml'))]
    return [...objects.map((object) => adapt(object, target)), await scrapes(target.timing)]
  },
  applications: (target) => [application({ name: NAME, namespace: MONITORING_NAMESPACE, sources: [renderedSource(NAME, target)] })],
  hints: ({ cluster }) => [`Prometheus: curl ${cluster.address('prometheus')}/api/v1/targets`],
  scenarios: [],
}

function adapt(object: KubeObject, target: Target): KubeObject {
  if (object.kind !== 'Prometheus') return retimed(object, target.timing)
  const { cluster, timing } = target
  const interval = sped(PRODUCTION.scrapeInterval, timing.speedup)
  const own = {
    image: byDigest(object.spec.image, target),
    externalUrl: cluster.address('prometheus'),
    externalLabels: { cluster: cluster.name },
    scrapeInterval: interval,
    evaluationInterval: interval,
    query: { ...object.spec.query, lookbackDelta: sped(PRODUCTION.lookback, timing.speedup) },
    additionalArgs: [{ name: 'rules.alert.resend-delay', value: sped(PRODUCTION.resendDelay, timing.speedup) }],
  }
  return { ...object, spec: { ...object.spec, ...own } }
}

/** The operator takes what it has no kind for from a Secret; there is no secret in it. */
async function scrapes(timing: TimingProfile): Promise<KubeObject> {
  const jobs = parse(await readFile(join(root, 'alerts/prometheus/scrapes.yaml'), 'utf8')) as { scrape_interval: string }[]
  const text = stringify(
    jobs.map((job) => retimedJob(job, timing)),
    { aliasDuplicateObjects: false, lineWidth: 0 },
  )
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'prometheus-scrapes', namespace: MONITORING_NAMESPACE, labels: { 'app.kubernetes.io/part-of': 'holdfast' } },
    data: { 'scrapes.yaml': Buffer.from(text).toString('base64') },
  }
}

function retimedJob(job: { readonly scrape_interval: string }, timing: TimingProfile): object {
  const { interval, timeout } = scrapeTimes(job.scrape_interval, timing)
  return { ...job, scrape_interval: interval, scrape_timeout: timeout }
}
