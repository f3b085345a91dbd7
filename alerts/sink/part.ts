/** The alert sink: takes Alertmanager's notifications as Slack would, keeps them, and says what arrived when. */
import { application, type ImageSpec, nodeBase, type Part, readManifest, renderedSource, withDigests } from '#core'
import { MONITORING_NAMESPACE } from '../operator/part.ts'
import { retimed } from '../operator/scrape.ts'

const NAME = 'alert-sink'

const sinkImage: ImageSpec = {
  name: 'holdfast/alert-sink',
  tag: 'latest',
  build: { context: 'alerts/sink', base: nodeBase, inputs: [{ kind: 'bundle', to: 'server.mjs', entry: 'alerts/sink/main.ts' }] },
}

export const alertSink: Part = {
  name: NAME,
  namespaces: [],
  images: [sinkImage],
  rendered: async (target) =>
    (await readManifest('alerts/sink/manifest.yaml')).map((object) => withDigests(retimed(object, target.timing), target)),
  applications: (target) => [application({ name: NAME, namespace: MONITORING_NAMESPACE, sources: [renderedSource(NAME, target)] })],
  hints: ({ cluster }) => [`What arrived at the alert sink: curl ${cluster.address('sink')}/messages`],
  scenarios: [],
}
