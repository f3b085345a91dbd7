/**
 * The way back of an upgrade, on the running stack. The versions are broken on purpose: made here of the one that runs, and pinned nowhere.
 * The way forth is a command of its own: npm run upgrade -- --part argocd --to 3.5.6, and to 3.5.7 again.
 */
import {
  mapContainers,
  openRun,
  type Part,
  parseUpgrade,
  readStatus,
  renderUpgrade,
  type Stack,
  settleAll,
  upgrade,
  VERSION_LABEL,
} from '#core'
import { Images } from '#kit/images'
import type { KubeObject } from '#kit/kube'
import { createProgress } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { clusterName } from '../live/stack.ts'
import { assert, suite } from '../suite.ts'

const test = suite('upgrade')
const UPGRADE = { timeoutMs: 600_000 }
/** Pods of before may still be on their way out. */
const WHOLE = { timeoutMs: 60_000 }
const PROOF = 'hand-edit'
const PROGRAMS = ['argocd-application-controller', 'argocd-repo-server', 'argocd-server']

interface Broken {
  /** As if it were a version. */
  readonly name: string
  readonly change: (object: KubeObject) => KubeObject
}

/** The stack with one more version of Argo CD. */
function withBroken({ name, change }: Broken): Stack {
  const parts = stack.parts.map((part): Part => {
    if (part.upgrades === undefined) return part
    const rendered: Part['rendered'] = async (target) => ((await part.rendered?.(target)) ?? []).map(change).map(labelled(name))
    const versions = new Map([...part.upgrades.versions, [name, { ...part, rendered }]])
    const { says } = part.upgrades
    return {
      ...part,
      upgrades: {
        ...part.upgrades,
        versions,
        proofs: [PROOF],
        says: (line) => (line.startsWith('time=') && says(line) ? name : says(line)),
      },
    }
  })
  return { ...stack, parts }
}

const labelled = (version: string) => (object: KubeObject) => {
  const { labels } = object.metadata
  if (labels?.[VERSION_LABEL] === undefined) return object
  return { ...object, metadata: { ...object.metadata, labels: { ...labels, [VERSION_LABEL]: version } } }
}

/** Its programs are given these arguments more. */
const withArgs =
  (...args: readonly string[]) =>
  (object: KubeObject) =>
    mapContainers(object, (container) =>
      PROGRAMS.includes(container.name) ? { ...container, args: [...(container.args ?? []), ...args] } : container,
    )

const cannotStart: Broken = { name: 'cannot-start', change: withArgs('--no-such-flag') }

/** It logs text, by which its programs are told from those of the version before. */
const doesNotHeal: Broken = {
  name: 'does-not-heal',
  change(object) {
    if (object.metadata.name !== 'argocd-cmd-params-cm') return withArgs('--logformat', 'text')(object)
    return { ...object, data: { ...object.data, 'controller.self.heal.timeout.seconds': '3600' } }
  },
}

for (const [broken, why] of [
  [cannotStart, /Pod 'argocd\/argocd-\S+' crashes again and again/],
  [doesNotHeal, /^Cannot keep argocd does-not-heal: hand-edit is violated/],
] as const) {
  test(
    `a version that ${broken.name.replaceAll('-', ' ')} is taken back`,
    async ({ signal }) => {
      using progress = createProgress()
      const whole = withBroken(broken)
      await using run = await openRun(whole, { name: clusterName, progress, signal })
      const { cluster } = run.context
      const images = new Images({ progress, signal })
      const report = await upgrade(run, whole, { ...parseUpgrade(whole, { part: 'argocd', to: broken.name }), images })
      progress.say(renderUpgrade(report))
      assert.is(report.moved, false)
      assert.match(report.why ?? '', why)
      assert.ok(report.programs.length >= 2)
      await waitFor(
        'the stack to be whole',
        async () => ((await readStatus(stack, cluster)).healthy ? ready(undefined) : pending('not yet')),
        WHOLE,
      )
      assert.equal(await settleAll(run.context), [], 'nothing is left to undo')
    },
    UPGRADE,
  )
}

test.run()
