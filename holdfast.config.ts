/** The composition root: what the platform is made of. An adopter edits this file. */
import { defineStack } from '#core'
import { argocd } from './argocd/part.ts'
import { service } from './chart/part.ts'
import { gitServer, openGit } from './local/git-server/part.ts'
import { localClusters } from './local/local.ts'

export const stack = defineStack({
  name: 'holdfast',
  clusters: {
    local: localClusters({
      serverArgs: [
        // Minutes become seconds: the proofs are the same, their bounds are summed from these.
        '--kube-controller-manager-arg=horizontal-pod-autoscaler-sync-period=5s',
        '--kube-controller-manager-arg=node-monitor-grace-period=20s',
      ],
    }),
  },
  parts: [gitServer, argocd, service],
  git: openGit,
  timing: {
    local: {
      name: 'local',
      selfHeal: { noticedMs: 200, comparedMs: 800, syncedMs: 500 },
      recreate: { noticedMs: 200, comparedMs: 300, syncedMs: 500 },
      reconciliationMs: 15_000,
      speedup: 15,
      hpaSyncMs: 5_000,
    },
    production: {
      name: 'production',
      selfHeal: { noticedMs: 1_000, comparedMs: 4_000, syncedMs: 10_000 },
      recreate: { noticedMs: 1_000, comparedMs: 4_000, syncedMs: 10_000 },
      reconciliationMs: 180_000,
      speedup: 1,
      hpaSyncMs: 15_000,
    },
  },
})
