/** The service as a part of the platform: its image, its chart, its Application. */
import { DEPLOY_REF, type ImageSpec, type Part, SOURCE_REF, type Target, application, nodeBase, project } from '#core'
import type { KubeObject } from '#kit/kube'

const NAME = 'service'
const PROJECT = 'services'

const serviceImage: ImageSpec = {
  name: 'holdfast/service',
  tag: 'latest',
  build: { context: 'service', base: nodeBase, inputs: [{ kind: 'bundle', to: 'server.mjs', entry: 'service/main.ts' }] },
}

/** What the chart renders; the project allows no other kind. */
const KINDS = [
  { apiVersion: 'apps/v1', kind: 'Deployment' },
  { apiVersion: 'v1', kind: 'Service' },
  { apiVersion: 'v1', kind: 'ServiceAccount' },
]

export const service: Part = {
  name: NAME,
  namespaces: [{ name: 'dev', podSecurity: 'restricted', quota: { pods: '12', 'requests.cpu': '2', 'limits.memory': '4Gi' } }],
  images: [],
  release: serviceImage,
  applications: (target) => [project({ name: PROJECT, namespaces: [target.environment], objects: KINDS }, target), serviceApplication(target)],
  hints: ({ cluster }) => [`The service: curl ${cluster.address('service')}/api/products`],
  scenarios: [],
}

/** The chart comes from the working tree, the digest from what was deployed. */
function serviceApplication({ repoUrl, environment, cluster }: Target): KubeObject {
  const values = ['values.yaml', ...(cluster.kind === 'k3s' ? ['values-local.yaml'] : []), `$deploy/environments/${environment}/${NAME}.yaml`]
  return application({
    name: NAME,
    project: PROJECT,
    namespace: environment,
    sources: [
      { repoURL: repoUrl, targetRevision: SOURCE_REF, path: 'chart', helm: { releaseName: NAME, valueFiles: values } },
      { repoURL: repoUrl, targetRevision: DEPLOY_REF, ref: 'deploy' },
    ],
  })
}
