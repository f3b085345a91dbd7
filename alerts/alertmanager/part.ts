/** Alertmanager: who is told of an alert, once. */
import { application, byDigest, debianBase, type ImageSpec, type Part, readManifest, renderedSource, type Target } from '#core'
import { sped } from '#kit/duration'
import type { KubeObject } from '#kit/kube'
import { MONITORING_NAMESPACE } from '../operator/part.ts'
import { retimed } from '../operator/scrape.ts'
import { renderRouting } from '../routing.ts'
import { prepareSlack, SLACK_SECRET, slackUrl } from './slack.ts'

const NAME = 'alertmanager'
const VERSION = '0.31.1'
const CONFIG_SECRET = 'alertmanager-config'
/** A crash forgets the notifications of this long at most, and sends them again; a clean stop forgets none. */
const SNAPSHOT_INTERVAL = '1m'

const alertmanagerImage: ImageSpec = {
  name: 'prometheus/alertmanager',
  tag: `v${VERSION}`,
  upstream: { ref: `quay.io/prometheus/alertmanager:v${VERSION}` },
  build: {
    context: 'alerts/alertmanager/image',
    base: debianBase,
    inputs: [
      {
        kind: 'go',
        to: 'alertmanager',
        goMod: 'alerts/alertmanager/module',
        package: 'github.com/prometheus/alertmanager/cmd/alertmanager',
        ldflags: [`-X github.com/prometheus/common/version.Version=${VERSION}`],
      },
    ],
  },
  deviation: 'no amtool, no shell',
}

export const alertmanager: Part = {
  name: NAME,
  namespaces: [],
  images: [alertmanagerImage],
  prepare: prepareSlack,
  rendered: async (target) => {
    const slack = (await slackUrl()) !== undefined
    const objects = await readManifest('alerts/alertmanager/manifest.yaml')
    return [...objects.map((object) => adapt(object, target, slack)), config(target, slack)]
  },
  applications: (target) => [application({ name: NAME, namespace: MONITORING_NAMESPACE, sources: [renderedSource(NAME, target)] })],
  hints: ({ cluster }) => [`Alertmanager: curl ${cluster.address('alertmanager')}/api/v2/alerts`],
  scenarios: [],
}

function adapt(object: KubeObject, target: Target, slack: boolean): KubeObject {
  if (object.kind !== 'Alertmanager') return retimed(object, target.timing)
  const own = {
    image: byDigest(object.spec.image, target),
    externalUrl: target.cluster.address('alertmanager'),
    additionalArgs: [{ name: 'data.maintenance-interval', value: sped(SNAPSHOT_INTERVAL, target.timing.speedup) }],
    ...(slack ? { secrets: [SLACK_SECRET] } : {}),
  }
  return { ...object, spec: { ...object.spec, ...own } }
}

/** The operator takes the routes from a Secret; the only secret that they need, Slack's address, they name by its file. */
function config({ timing }: Target, slack: boolean): KubeObject {
  const text = renderRouting({ timing, slack })
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: CONFIG_SECRET, namespace: MONITORING_NAMESPACE, labels: { 'app.kubernetes.io/part-of': 'holdfast' } },
    data: { 'alertmanager.yaml': Buffer.from(text).toString('base64') },
  }
}
