/** Something that the platform stands on is scaled to nothing for a while: a fault that lasts until it is given back. */
import type { ObjectRef } from '#kit/kube'
import { pauseSync } from './delivery.ts'
import { present } from './experiment.ts'
import type { Act, Context, Harm, Signal, Undo } from './scenario.ts'

export interface Away {
  /** As sentences call it: `the database`. */
  readonly what: string
  /** What has `spec.replicas`, one of it: a workload, or what an operator makes one of. */
  readonly ref: (context: Context) => Promise<ObjectRef>
  /** The Application that would give it back. @default no Application has it */
  readonly application?: string
}

export interface Absence extends Pick<Harm, 'targets' | 'held'> {
  /** To be done before the load: it takes some seconds, and breaks nothing. */
  readonly first: readonly Act[]
  readonly take: Act
  readonly giveBack: Act
  /** That it runs: what else is steady may say nothing of it. */
  readonly there: Signal
  undo(context: Context): Promise<Undo>
}

export function away({ what, ref, application }: Away): Absence {
  const scale = async (context: Context, replicas: number) => {
    await context.cluster.kube.mergePatch(await ref(context), { spec: { replicas } })
  }
  const pause = async (context: Context) => (application === undefined ? undefined : pauseSync(context, application))
  return {
    first: application === undefined ? [] : [{ kind: 'act', name: 'hold Argo CD off', run: async (x) => (await pause(x))?.apply() }],
    take: { kind: 'act', name: `take ${what} away`, run: (context) => scale(context, 0) },
    giveBack: { kind: 'act', name: `give ${what} back`, run: (context) => scale(context, 1) },
    there: {
      name: `${what} is there`,
      async look(context) {
        const available = (await context.cluster.kube.get(await ref(context)))?.status?.availableReplicas ?? 0
        return { ok: available > 0, seen: `${available} available` }
      },
    },
    async undo(context) {
      // First what others need, such as Git for the commit.
      const whole: Undo = [{ op: 'patch', ref: await ref(context), patch: { spec: { replicas: 1 } } }]
      return [...whole, ...((await pause(context))?.undo ?? [])]
    },
    targets: async (context) => present(await ref(context))(context),
    held:
      application === undefined
        ? 'It is scaled to 0, and no Application has it that would scale it back.'
        : 'It is scaled to 0, with the automated sync of its Application switched off by a commit before.',
  }
}
