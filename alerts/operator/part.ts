/** The Prometheus operator: the kinds of monitoring, and the controller that makes Prometheus and Alertmanager of them. */
import {
  application,
  byDigest,
  type ImageSpec,
  mapContainers,
  type Part,
  type PinnedManifest,
  readManifest,
  readPinned,
  renderedSource,
  type Target,
  withDigests,
  withoutDescriptions,
} from '#core'
import type { KubeObject } from '#kit/kube'
import { retimed } from './scrape.ts'

const NAME = 'prometheus-operator'
/** Of everything that the operator makes. */
export const MONITORING_NAMESPACE = 'monitoring'
const VERSION = '0.93.0'
const MODULE = 'github.com/prometheus-operator/prometheus-operator'
const GO_MOD = 'alerts/operator/module'
const RELOADER = `quay.io/prometheus-operator/prometheus-config-reloader:v${VERSION}`
const LDFLAGS = [`-X github.com/prometheus/common/version.Version=${VERSION}`]

const operatorImage: ImageSpec = {
  name: 'prometheus-operator/prometheus-operator',
  tag: `v${VERSION}`,
  upstream: { ref: `quay.io/prometheus-operator/prometheus-operator:v${VERSION}` },
  build: {
    context: 'alerts/operator/image',
    inputs: [{ kind: 'go', to: 'operator', goMod: GO_MOD, package: `${MODULE}/cmd/operator`, ldflags: LDFLAGS }],
  },
}

/** Runs beside Prometheus and Alertmanager and tells them of a new configuration. */
const reloaderImage: ImageSpec = {
  name: 'prometheus-operator/prometheus-config-reloader',
  tag: `v${VERSION}`,
  upstream: { ref: RELOADER },
  build: {
    context: 'alerts/operator/image',
    dockerfile: 'Dockerfile.reloader',
    inputs: [
      {
        kind: 'go',
        to: 'prometheus-config-reloader',
        goMod: GO_MOD,
        package: `${MODULE}/cmd/prometheus-config-reloader`,
        ldflags: LDFLAGS,
      },
    ],
  },
}

/** Those that it cannot do without; it runs no controller for a kind that is not defined. */
const DEFINITIONS: Readonly<Record<string, string>> = {
  alertmanagerconfigs: 'fed47c462483a47a4d1912bf8a7a3767618644cfdee86dc73d7624c55d6a8b9d',
  alertmanagers: '0e8eccd22699818c93f619c8fe2d92dbbd783a7e9232827a886dedeac1fb5dc1',
  podmonitors: '45a93443daa687d3654f7e9631909ff7edcdf3ec09c5e60251b74aa2722aee5d',
  probes: 'f4ead9704bd4c6303d53e4cc15670faaf0609022a5e08c0ce496286f453666b7',
  prometheuses: 'c0eed4b2c38a58e3a5be7e2f5846df067804c694b0c9316b35029ab68fa183a4',
  prometheusrules: '78be98554b9c8506ab2b4f4feb91c5f3a56e536a0a510f3a8e876a459970d56d',
  servicemonitors: 'a99047972c9dd7679ce2050b9968e8a08773492e671b3e17abd476d42aa78a32',
}

export const prometheusOperator: Part = {
  name: NAME,
  namespaces: [
    {
      name: MONITORING_NAMESPACE,
      podSecurity: 'restricted',
      quota: { pods: '20', 'limits.memory': '4Gi', persistentvolumeclaims: '4' },
    },
  ],
  images: [operatorImage, reloaderImage],
  rendered: async (target) => [...(await definitions()), ...(await workload(target))],
  applications: (target) => [application({ name: NAME, namespace: MONITORING_NAMESPACE, sources: [renderedSource(NAME, target)] })],
  scenarios: [],
}

async function definitions(): Promise<KubeObject[]> {
  const files = await Promise.all(Object.entries(DEFINITIONS).map(([plural, hash]) => readPinned(definitionFile(plural, hash))))
  return files.flat().map((definition) => inFirstWave(withoutDescriptions(definition)))
}

/**
 * The operator looks once, at its start, for the kinds that are defined, and runs no controller for one that is not there yet. Argo CD waits for
 * a definition to be established for 3 s at most; for the health of a wave, however long it takes.
 */
function inFirstWave(definition: KubeObject): KubeObject {
  const { metadata } = definition
  return { ...definition, metadata: { ...metadata, annotations: { ...metadata.annotations, 'argocd.argoproj.io/sync-wave': '-1' } } }
}

function definitionFile(plural: string, hash: string): PinnedManifest {
  const path = `example/prometheus-operator-crd/monitoring.coreos.com_${plural}.yaml`
  const url = `https://raw.githubusercontent.com/prometheus-operator/prometheus-operator/v${VERSION}/${path}`
  return { of: 'the Prometheus operator', goMod: GO_MOD, module: MODULE, path, url, sha256: hash }
}

async function workload(target: Target): Promise<KubeObject[]> {
  const objects = await readManifest('alerts/operator/manifest.yaml')
  return objects.map((object) => retimed(withReloader(withDigests(object, target), target), target.timing))
}

/** The operator puts the reloader into pods that it makes, so its image is an argument. */
function withReloader(object: KubeObject, target: Target): KubeObject {
  if (object.kind !== 'Deployment') return object
  const flag = `--prometheus-config-reloader=${byDigest(RELOADER, target)}`
  return mapContainers(object, (container) => ({ ...container, args: [...(container.args ?? []), flag] }))
}
