/** All evidence of a round as it comes in: our own marks, watched objects, observations. */
import type { KubeObject, WatchEvent } from '#kit/kube'
import type { Context, Mark, RecordedEvent, Scenario, Tell } from './scenario.ts'

export interface Tape extends AsyncDisposable {
  /** In the order in which they came. */
  readonly events: readonly RecordedEvent[]
  /** Subscribes to news. */
  readonly changes: (wake: () => void) => Disposable
  /** Aborts with what whoever is told of an event throws: a bug, which whoever told the event would take for an error of its own. */
  readonly broken: AbortSignal
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
  const broken = new AbortController()
  const add = (event: RecordedEvent) => {
    events.push(event)
    try {
      onEvent?.(event)
      for (const wake of listeners) wake()
    } catch (thrown) {
      broken.abort(thrown)
    }
  }
  const tell = (source: string): Tell => ({
    observed: (value, atMs) => add({ type: 'OBSERVED', source, value, atMs }),
    failed: (why) => add({ type: 'UNOBSERVED', source, value: why, atMs: Date.now() }),
  })
  await using running = new AsyncDisposableStack()
  for (const ref of watches) {
    const onChange = (event: WatchEvent) => add({ ...event, object: withoutManagers(event.object) })
    running.use(context.cluster.kube.watch(ref, onChange, tell(`watch of ${ref.kind}`).failed))
  }
  for (const observer of observes) running.use(await observer.start(context, tell(observer.name)))
  const all = running.move()
  return {
    events,
    broken: broken.signal,
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
