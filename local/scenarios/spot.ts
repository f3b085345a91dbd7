/** AWS wants a Spot node back: two minutes from the notice to its end, and no request fails. */
import { type Context, cordonPatch, nodeRef, type Scenario, type Step, type Undo } from '#core'
import { refOf } from '#kit/kube'
import { DRAIN, EMPTY, nodeDrained, PRE_STOP_MS } from './drained.ts'
import { findOtherNode } from './nodes.ts'

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
const NOTICE_MS = 120_000
/** From now on nothing is placed there, whatever tolerates a cordon. */
const TAINT = { key: 'holdfast.dev/spot-interruption', value: 'notice', effect: 'NoSchedule' }

interface Taint {
  readonly key: string
}

const notice: Step = {
  kind: 'act',
  name: 'AWS gives notice',
  async run(context) {
    const ref = nodeRef(await findOtherNode(context))
    const taints: readonly Taint[] = (await context.cluster.kube.get(ref))?.spec?.taints ?? []
    await context.cluster.kube.mergePatch(ref, { spec: { taints: [...taints.filter(({ key }) => key !== TAINT.key), TAINT] } })
  },
}

/** Every node takes pods again, with the taints that it had. */
async function takeBack({ cluster }: Context): Promise<Undo> {
  const nodes = await cluster.kube.list({ apiVersion: 'v1', kind: 'Node' })
  return nodes.map((node) => {
    const taints = ((node.spec?.taints ?? []) as readonly Taint[]).filter(({ key }) => key !== TAINT.key)
    const { spec } = cordonPatch(false)
    return { op: 'patch', ref: refOf(node), patch: { spec: { ...spec, taints: taints.length === 0 ? null : taints } } } as const
  })
}

/** What EKS does at the notice, by hand: no new pods, and a drain. That the machine then ends is AWS's part, and here it stays. */
export const spotInterrupted: Scenario = {
  ...nodeDrained,
  name: 'spot-interrupted',
  about:
    'Gives a Spot node its notice: it takes no new pods and is drained; it must be empty before its two minutes are over, and no request fails.',
  undo: takeBack,
  steps: (timing) => nodeDrained.steps(timing).flatMap((step) => (step.name === DRAIN ? [notice, step] : [step])),
  bounds: () => [
    { name: 'the node is empty before it ends', from: notice.name, to: EMPTY, lowerMs: PRE_STOP_MS, partsMs: { notice: NOTICE_MS } },
  ],
}
