/** The one object that load is made of: a Job, with the script and its plan in annotations of its pod. */
import type { LoadProfile } from '#core'
import type { KubeObject, ObjectRef } from '#kit/kube'
import { durationMs, type Plan } from './plan.ts'

export const NAMESPACE = 'load'
export const CONTAINER = 'k6'
/** k6's own user in upstream's image. */
const USER = 12345
const FOLDER = '/load'
const SCRIPT = 'holdfast.dev/script'
const PLAN = 'holdfast.dev/plan'
/** For its start and its end. */
const MARGIN_S = 60
/** Who reads its log has that long to read the rest of it. */
const KEPT_S = 30

/** The command line of k6; `folder` holds the script and its plan. */
export const k6Args = (folder: string): string[] => [
  'run',
  ...['--quiet', '--no-color'],
  // It tells nobody outside what it does, and listens to nobody.
  ...['--no-usage-report', '--address', ''],
  // Its console is what we read: line by line, as they are.
  ...['--log-output', 'stdout', '--log-format', 'raw'],
  `${folder}/script.k6.ts`,
]

/** It never fetches another program in place of itself. */
export const K6_ENV = { K6_AUTO_EXTENSION_RESOLUTION: 'false' }

/** The Job of a profile; one at a time. */
export function jobRef({ name }: Pick<LoadProfile, 'name'>): ObjectRef & { readonly namespace: string } {
  return { apiVersion: 'batch/v1', kind: 'Job', name: `k6-${name}`, namespace: NAMESPACE }
}

export interface JobContent {
  /** By digest. */
  readonly image: string
  readonly script: string
  readonly plan: Plan
}

/** It ends and vanishes by itself, whatever becomes of its starter; with one object, nothing of it can be left alone. */
export function jobOf(profile: LoadProfile, { image, script, plan }: JobContent): KubeObject {
  const { apiVersion, kind, name, namespace } = jobRef(profile)
  const labels = { 'app.kubernetes.io/name': 'k6', 'app.kubernetes.io/part-of': 'holdfast', 'holdfast.dev/load': profile.name }
  const annotations = { [SCRIPT]: script, [PLAN]: JSON.stringify(plan) }
  return {
    apiVersion,
    kind,
    metadata: { name, namespace, labels },
    spec: {
      backoffLimit: 0, // a second run would be another measurement
      activeDeadlineSeconds: Math.ceil(durationMs(profile.stages) / 1000) + MARGIN_S,
      ttlSecondsAfterFinished: KEPT_S,
      template: { metadata: { labels, annotations }, spec: podSpec(image) },
    },
  }
}

function podSpec(image: string): object {
  return {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 5,
    securityContext: { runAsNonRoot: true, runAsUser: USER, runAsGroup: USER, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: CONTAINER,
        image,
        imagePullPolicy: 'IfNotPresent',
        args: k6Args(FOLDER),
        env: Object.entries(K6_ENV).map(([name, value]) => ({ name, value })),
        // No limit of CPU: a generator that is held back would measure itself.
        resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        volumeMounts: [{ name: 'load', mountPath: FOLDER, readOnly: true }],
      },
    ],
    volumes: [{ name: 'load', downwardAPI: { items: [fileOf('script.k6.ts', SCRIPT), fileOf('plan.json', PLAN)] } }],
  }
}

function fileOf(path: string, annotation: string): object {
  return { path, fieldRef: { fieldPath: `metadata.annotations['${annotation}']` } }
}
