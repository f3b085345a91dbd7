/** Waiting for a node: by what its kubelet says, and what becomes of its container. */
import { nodeRef, wholeSecond } from '#core'
import { type ContainerInfo, docker, inspect } from '#kit/docker'
import { conditionOf, type Kube } from '#kit/kube'
import { type Condition, pending, ready, terminal, waitFor } from '#kit/wait'

/** The restart policy starts one that ends again and again; then its log says why. */
const RESTARTS_ALLOWED = 2

/** Until the API server is ready, and the kubelet says so of the node. */
export async function waitForNode(
  kube: Kube,
  node: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const look = async () => {
    const info = await inspect<ContainerInfo>('container', node)
    if (info === undefined) return terminal('its container is gone', 'Run npm run local:up')
    if (hasEnded(info)) return terminal(`it ended with exit code ${info.State.ExitCode}. Its last lines:\n${await lastLogs(node)}`)
    await kube.request('GET', '/readyz')
    return nodeCondition(kube, node, info.State.StartedAt)
  }
  await waitFor(`the node '${node}' to be ready`, look, { timeoutMs, everyMs: 200, signal })
}

function hasEnded({ State, RestartCount }: ContainerInfo): boolean {
  return State.Status === 'exited' || (State.Status === 'restarting' && RestartCount > RESTARTS_ALLOWED)
}

/** By what the kubelet said since its container was started: before that it spoke of another life. */
async function nodeCondition(kube: Kube, node: string, startedAt: string): Promise<Condition<void>> {
  const found = await kube.get(nodeRef(node))
  const condition = conditionOf(found, 'Ready')
  if (condition === undefined) return pending('node: not registered')
  const isNews = Date.parse(condition.lastHeartbeatTime ?? '') >= wholeSecond(Date.parse(startedAt))
  return condition.status === 'True' && isNews ? ready(undefined) : pending(`node: ${condition.message}`)
}

/** The end of what a container has said. */
export async function lastLogs(container: string): Promise<string> {
  const { stdout, stderr } = await docker(['logs', '--tail', '15', container], { accept: [0, 1] })
  return `${stdout}${stderr}`.trimEnd()
}
