/** The one object that a cut is made of: a Job on its node, in the node's own network. */
import type { KubeObject, ObjectRef } from '#kit/kube'
import { NAMESPACE } from './part.ts'

const STATE = '/run/cut'
/** For its start, and for a last look at it. */
const MARGIN_S = 60
const KEPT_S = 30
/** Docker's own resolver, which knows the registry; the node asks it too. */
const ENGINE_RESOLVER = '127.0.0.11'

export interface CutJob {
  readonly node: string
  /** By digest. */
  readonly image: string
  /** Milliseconds since the epoch: it ends then, whatever becomes of its starter. */
  readonly untilMs: number
  readonly forMs: number
  /** `pods <address>…` or `host <name>`: see image/cut.sh. */
  readonly what: readonly string[]
}

/** One a node at a time. */
export function jobRef(node: string): ObjectRef & { readonly namespace: string } {
  return { apiVersion: 'batch/v1', kind: 'Job', name: `cut-${node}`, namespace: NAMESPACE }
}

export function jobOf(cut: CutJob): KubeObject {
  const { apiVersion, kind, name, namespace } = jobRef(cut.node)
  const labels = { 'app.kubernetes.io/name': 'network-cut', 'app.kubernetes.io/part-of': 'holdfast' }
  return {
    apiVersion,
    kind,
    metadata: { name, namespace, labels },
    spec: {
      backoffLimit: 2,
      activeDeadlineSeconds: Math.ceil(cut.forMs / 1_000) + MARGIN_S,
      ttlSecondsAfterFinished: KEPT_S,
      template: { metadata: { labels }, spec: podSpec(cut) },
    },
  }
}

function podSpec({ node, image, untilMs, what }: CutJob): object {
  return {
    nodeName: node,
    hostNetwork: true,
    dnsPolicy: 'None',
    dnsConfig: { nameservers: [ENGINE_RESOLVER] },
    // One that was killed is started again in its place, and puts back what it had cut.
    restartPolicy: 'OnFailure',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 10,
    containers: [
      {
        name: 'cut',
        image,
        imagePullPolicy: 'IfNotPresent',
        args: [String(Math.ceil(untilMs / 1_000)), ...what],
        readinessProbe: { exec: { command: ['test', '-e', `${STATE}/done`] }, periodSeconds: 1 },
        resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '32Mi' } },
        // Of all that root can do, only this.
        securityContext: {
          runAsUser: 0,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
          seccompProfile: { type: 'RuntimeDefault' },
        },
        volumeMounts: [{ name: 'state', mountPath: STATE }],
      },
    ],
    volumes: [{ name: 'state', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }],
  }
}
