/** The alert sink: takes Alertmanager's notifications as Slack would, keeps them, and says what arrived when. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { application, type ImageSpec, nodeBase, type Part, renderedSource, type Target } from '#core'
import { sped } from '#kit/duration'
import type { KubeObject } from '#kit/kube'
import { root } from '#kit/paths'

const NAME = 'alert-sink'
/** Declared, with its quota, by another part. */
const NAMESPACE = 'monitoring'
const MANIFEST = 'alerts/sink/manifest.yaml'

const sinkImage: ImageSpec = {
  name: 'holdfast/alert-sink',
  tag: 'latest',
  build: { context: 'alerts/sink', base: nodeBase, inputs: [{ kind: 'bundle', to: 'server.mjs', entry: 'alerts/sink/main.ts' }] },
}

export const alertSink: Part = {
  name: NAME,
  namespaces: [],
  images: [sinkImage],
  rendered: async (target) => (await manifest()).map((object) => adapt(object, target)),
  applications: (target) => [application({ name: NAME, namespace: NAMESPACE, sources: [renderedSource(NAME, target)] })],
  hints: ({ cluster }) => [`What arrived at the alert sink: curl ${cluster.address('sink')}/messages`],
  scenarios: [],
}

async function manifest(): Promise<KubeObject[]> {
  const text = await readFile(join(root, MANIFEST), 'utf8')
  return parseAllDocuments(text).map((document) => document.toJS() as KubeObject)
}

/** The image by its digest, and scrapes on the target's clock. */
function adapt(object: KubeObject, target: Target): KubeObject {
  if (object.kind === 'Deployment') return withDigest(object, target)
  if (object.kind === 'ServiceMonitor') return withInterval(object, target)
  return object
}

function withDigest(object: KubeObject, { images }: Target): KubeObject {
  const image = `docker.io/${sinkImage.name}@${images.get(sinkImage.name)?.digest}`
  const pod = object.spec.template.spec
  const spec = { ...pod, containers: pod.containers.map((container: object) => ({ ...container, image })) }
  return { ...object, spec: { ...object.spec, template: { ...object.spec.template, spec } } }
}

function withInterval(object: KubeObject, { timing }: Target): KubeObject {
  const endpoints = object.spec.endpoints.map((each: { interval: string }) => ({ ...each, interval: sped(each.interval, timing.speedup) }))
  return { ...object, spec: { ...object.spec, endpoints } }
}
