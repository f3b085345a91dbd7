/** The composition root: what the platform is made of. An adopter edits this file. */
import { defineStack, packagesOf, previewCloud, previewLocal, type Stack } from '#core'
import { savedImage } from '#kit/gate/archive'
import { lint, types } from '#kit/gate/code'
import { dependenciesGate } from '#kit/gate/dependencies'
import { dockerfiles } from '#kit/gate/dockerfiles'
import type { Gate } from '#kit/gate/gate'
import { imageGate } from '#kit/gate/image'
import { licences } from '#kit/gate/licences'
import { secrets } from '#kit/gate/secrets'
import { signatureCheck, storedImage } from '#kit/gate/signature'
import { unit } from '#kit/gate/unit'
import { workflows } from '#kit/gate/workflows'
import { signingFor } from '#kit/signing'
import { admission } from './admission/part.ts'
import { rulesGate } from './alerts/check.ts'
import { monitoring } from './alerts/part.ts'
import { alerting } from './alerts/rehearsal.ts'
import { alertSink } from './alerts/sink/part.ts'
import { argocd } from './argocd/part.ts'
import { rollouts } from './argocd/rollouts/part.ts'
import { chartGate } from './chart/check.ts'
import { faults } from './chart/faults.ts'
import { policies, service, serviceImage } from './chart/part.ts'
import { terraformGate } from './cloud/check.ts'
import { createCloud } from './cloud/cloud.ts'
import { storage } from './cloud/part.ts'
import { createLoadGenerator } from './load/generator.ts'
import { createNetworkSwitch } from './load/network/cut.ts'
import { networkFaults } from './load/network/part.ts'
import { load } from './load/part.ts'
import { profiles } from './load/profiles.ts'
import { database, databaseSecret } from './local/database/part.ts'
import { gitServer, openGit } from './local/git-server/part.ts'
import { source } from './local/git-server/source.ts'
import { openUserRemote } from './local/git-server/user-remote.ts'
import { imageStore, localClusters } from './local/local.ts'
import { nodes } from './local/part.ts'
import { REGISTRY_IN_CLUSTER } from './local/registry/hosting.ts'
import { REGISTRY_ALIAS, runningRegistry } from './local/registry/registry.ts'

/** What commands need of a part without a cluster. */
export { pauseEngine } from './local/engine.ts'
export { proposeDeploy } from './local/git-server/propose.ts'
export { loadStore, saveStore } from './local/registry/store.ts'
export { imageStore }

/** A lost node is given up soon here. The chart's local values say the same for the service's own pods. */
const localNodes = { heartbeatMs: 10_000, graceMs: 20_000, monitorMs: 5_000, tolerationMs: 10_000 }

/** The HPA looks often, and sees what metrics-server has at most every 10 s. A cluster that starts again is Healthy once it has looked. */
const localHpa = { syncMs: 2_000, usageMs: 10_000, scaleInWindowMs: 20_000, podStartMs: 5_000 }

/** All that can move from one node to another while the service serves. */
const movable = [gitServer, argocd, rollouts, ...monitoring, alertSink, load, networkFaults, policies]

/** Who signs here, and whom to believe. */
const signing = signingFor()

/** What a digest must have shown in an environment before it may go on. */
const evidence = {
  dev: ['hand-edit', 'object-deleted', 'rollout-lossless', 'image-missing', 'alert-fires', 'hpa-scales'],
  staging: ['smoke', 'good-canary-promoted', 'bad-canary-aborted'],
  prod: [],
}
/** What must be attached to it, and signed, before it may come into one. */
const attested: Stack['attested'] = { dev: [], staging: [], prod: ['provenance', 'sbom'] }

/** What `promote` asks for before it moves a digest to prod, the API server asks for before it runs there. */
const guard = admission({
  image: serviceImage,
  signing,
  attested: attested.prod,
  proofs: evidence.staging,
  registry: REGISTRY_IN_CLUSTER,
})

/** How the control plane is set where it is ours. */
export const localServerArgs: readonly string[] = [
  // Minutes become seconds: the proofs are the same, their bounds are summed from these.
  `--kube-controller-manager-arg=horizontal-pod-autoscaler-sync-period=${localHpa.syncMs / 1000}s`,
  // Until then a pod's usage counts only where it was measured wholly after the pod was ready: a look later than it need be, whenever a
  // cluster starts again.
  '--kube-controller-manager-arg=horizontal-pod-autoscaler-cpu-initialization-period=30s',
  `--kube-controller-manager-arg=node-monitor-grace-period=${localNodes.graceMs / 1000}s`,
  // For pods that say nothing themselves.
  `--kube-apiserver-arg=default-unreachable-toleration-seconds=${localNodes.tolerationMs / 1000}`,
  // Usage is measured every 5 to 10 s instead of 10 to 20: the HPA sees load half as late.
  '--kubelet-arg=housekeeping-interval=5s',
  // A node that starts again asks for the tokens and settings of all its pods at once: the default is 50 a second.
  '--kubelet-arg=kube-api-qps=200',
  '--kubelet-arg=kube-api-burst=400',
  // A container that crashes is started again after 1, 2, 4 … s instead of 10, 20, 40: else it would not crash often enough within
  // the rule's window, which is 15 times as short.
  '--kubelet-arg=feature-gates=ReduceDefaultCrashLoopBackOffDecay=true',
]

export const cloud = createCloud({ openRemote: openUserRemote, store: imageStore })

export const stack = defineStack({
  name: 'holdfast',
  clusters: { local: localClusters({ serverArgs: localServerArgs }), eks: cloud },
  parts: [...movable, database, service({ databaseSecret }), guard, nodes, storage, cloud.repository],
  kubernetes: {
    // The database is one pod on a volume of one node: while that node is replaced nobody has it, so the service keeps its data itself.
    parts: [...movable, service(), nodes],
    proofs: ['commit-live', 'rollout-lossless', 'hpa-scales'],
  },
  git: (cluster, signal) => (cluster.kind === 'eks' ? cloud.openGit(cluster, signal) : openGit(cluster, signal)),
  source,
  load: createLoadGenerator({ profiles, target: (environment) => `http://service.${environment}.svc.cluster.local` }),
  faults,
  network: createNetworkSwitch({ registryHost: REGISTRY_ALIAS }),
  alerting,
  evidence,
  attested,
  signing,
  timing: {
    local: {
      name: 'local',
      selfHeal: { noticedMs: 200, comparedMs: 800, syncedMs: 500 },
      recreate: { noticedMs: 200, comparedMs: 300, syncedMs: 500 },
      delivery: { pushMs: 1_000, seenMs: 2_000, syncedMs: 2_000 },
      reconciliationMs: 15_000,
      speedup: 15,
      hpa: localHpa,
      nodes: localNodes,
    },
    production: {
      name: 'production',
      selfHeal: { noticedMs: 1_000, comparedMs: 4_000, syncedMs: 10_000 },
      recreate: { noticedMs: 1_000, comparedMs: 4_000, syncedMs: 10_000 },
      delivery: { pushMs: 5_000, seenMs: 10_000, syncedMs: 15_000 },
      reconciliationMs: 180_000,
      speedup: 1,
      hpa: { syncMs: 15_000, usageMs: 15_000, scaleInWindowMs: 300_000, podStartMs: 30_000 },
      nodes: { heartbeatMs: 10_000, graceMs: 50_000, monitorMs: 5_000, tolerationMs: 300_000 },
    },
  },
})

/** What must be clean before anything is run or pushed, in this order. */
export const gates: readonly Gate[] = [
  secrets,
  dependenciesGate(),
  licences,
  lint,
  types,
  unit,
  chartGate({ cloud: () => previewCloud(stack), local: () => previewLocal(stack) }),
  rulesGate(Object.values(stack.timing).map(({ speedup }) => speedup)),
  terraformGate,
  workflows,
  dockerfiles,
  imageGate(
    { obtain: savedImage(serviceImage), packages: () => packagesOf(serviceImage) },
    signatureCheck({ find: storedImage(serviceImage, runningRegistry), signing }),
  ),
]
