/** The undo of what is being done, written into the cluster before it is done, so that any later command can find it. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { UserError } from '#kit/errors'
import { type Kube, KubeError, type KubeObject, refOf } from '#kit/kube'
import type { Undo, UndoStep } from './scenario.ts'

export const HOLDFAST_NAMESPACE = 'holdfast'
const LEASE = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: 'runner', namespace: HOLDFAST_NAMESPACE }
const JOURNAL_LABEL = 'holdfast.dev/journal'
const LEASE_SECONDS = 30
const RENEW_MS = 10_000

/** Takes the cluster for one run. @throws UserError while another run holds it. */
export async function takeLease(kube: Kube): Promise<AsyncDisposable> {
  const holder = `${hostname()}/${process.pid}/${randomUUID().slice(0, 8)}`
  const current = await kube.get(LEASE)
  const heldBy = current?.spec?.holderIdentity
  if (heldBy && Date.now() - Date.parse(current?.spec.renewTime) < LEASE_SECONDS * 1000) {
    throw new UserError({ what: 'Cannot start a run', why: `'${heldBy}' is running on this cluster`, next: 'Wait for it to end' })
  }
  await writeLease(kube, { holder, resourceVersion: current?.metadata.resourceVersion })
  const timer = setInterval(() => void writeLease(kube, { holder, resourceVersion: undefined }).catch(() => {}), RENEW_MS)
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await kube.delete(LEASE).catch(() => {}) // it runs out by itself
    },
  }
}

/** With a resource version the write fails where somebody else came first. */
async function writeLease(kube: Kube, { holder, resourceVersion }: { holder: string; resourceVersion: string | undefined }): Promise<void> {
  const { name, namespace, apiVersion, kind } = LEASE
  const spec = { holderIdentity: holder, renewTime: new Date().toISOString().replace('Z', '000Z'), leaseDurationSeconds: LEASE_SECONDS }
  try {
    await kube.apply({
      apiVersion,
      kind,
      metadata: { name, namespace, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
      spec,
    })
  } catch (thrown) {
    if (thrown instanceof KubeError && thrown.status === 409) {
      throw new UserError(
        { what: 'Cannot start a run', why: 'another run took this cluster a moment ago', next: 'Wait for it to end' },
        thrown,
      )
    }
    throw thrown
  }
}

/** Writes an undo down. @returns its name, for `settle`. */
export async function journal(kube: Kube, reason: string, undo: Undo): Promise<string> {
  const name = `undo-${Date.now()}-${randomUUID().slice(0, 8)}`
  await kube.create({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: HOLDFAST_NAMESPACE, labels: { [JOURNAL_LABEL]: 'open' } },
    data: { reason, undo: JSON.stringify(undo) },
  })
  return name
}

/** Carries an undo out and strikes it from the journal. */
export async function settle(kube: Kube, name: string): Promise<void> {
  const ref = { apiVersion: 'v1', kind: 'ConfigMap', name, namespace: HOLDFAST_NAMESPACE }
  const entry = await kube.get(ref)
  if (entry === undefined) return
  for (const step of JSON.parse(entry.data.undo) as Undo) await carryOut(kube, step)
  await kube.delete(ref)
}

/** Undoes, newest first, what runs that were killed left behind. @returns their reasons. */
export async function settleAll(kube: Kube): Promise<string[]> {
  const entries = await openEntries(kube)
  for (const { metadata } of entries) await settle(kube, metadata.name)
  return entries.map((entry) => entry.data.reason as string)
}

async function openEntries(kube: Kube): Promise<KubeObject[]> {
  const entries = await kube.list({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace: HOLDFAST_NAMESPACE,
    labelSelector: `${JOURNAL_LABEL}=open`,
  })
  return entries.toSorted((a, b) => b.metadata.name.localeCompare(a.metadata.name))
}

async function carryOut(kube: Kube, step: UndoStep): Promise<void> {
  switch (step.op) {
    case 'create':
      if ((await kube.get(refOf(step.object))) === undefined) await kube.create(step.object)
      return
    case 'patch':
      await kube.mergePatch(step.ref, step.patch)
      return
    case 'delete':
      await kube.delete(step.ref)
  }
}
