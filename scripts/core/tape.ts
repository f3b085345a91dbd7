/** All evidence of a round as it comes in: our own marks, watched objects, observations. */
import type { KubeObject } from '#kit/kube'
import type { Context, Mark, RecordedEvent, Scenario, Tell } from './scenario.ts'

export interface Tape extends AsyncDisposable {
  /** In the order in which they came. */
  readonly events: readonly RecordedEvent[]
  /** Subscribes to news. */
  readonly changes: (wake: () => void) => Disposable
  mark(type: Mark['type'], step: string): void
  /** Where a source tells what it observes. */
  tell(source: string): Tell
}

/** Watches and observes all that the scenario names, until disposed; `onEvent` is told each event as it comes. */
export async function startTape(
  { watches, observes = [] }: Scenario,
  context: Context,
  onEvent?: (event: RecordedEvent) => void,
): Promise<Tape> {
  const events: RecordedEvent[] = []
  const listeners = new Set<() => void>()
  const add = (event: RecordedEvent) => {
    events.push(event)
    onEvent?.(event)
    for (const wake of listeners) wake()
  }
  const tell = (source: string): Tell => ({
    observed: (value, atMs) => add({ type: 'OBSERVED', source, value, atMs }),
    failed: (why) => add({ type: 'UNOBSERVED', source, value: why, atMs: Date.now() }),
  })
  await using running = new AsyncDisposableStack()
  for (const ref of watches)
    running.use(context.cluster.kube.watch(ref, (event) => add({ ...event, object: withoutManagers(event.object) })))
  for (const observer of observes) running.use(await observer.start(context, tell(observer.name)))
  const all = running.move()
  return {
    events,
    changes(wake) {
      listeners.add(wake)
      return { [Symbol.dispose]: () => void listeners.delete(wake) }
    },
    mark: (type, step) => add({ type, step, atMs: Date.now() }),
    tell,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Who owns which field is half of an object's size and proves nothing. */
function withoutManagers(object: KubeObject): KubeObject {
  const { managedFields: _managedFields, ...metadata } = object.metadata
  return { ...object, metadata }
}
