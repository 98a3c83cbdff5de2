/** A vitest reporter that lists the tests that did not run, each with the reason it gave. */

/** The note of a test that skipped itself, else what its name says it needs. */
function reasonOf(test) {
  return (
    test.result().note ?? /\((?:skipped: |(?=needs ))([^)]*)\)/.exec(test.fullName)?.[1] ?? 'no reason given'
  )
}

export default class SkipReasons {
  onTestRunEnd(testModules) {
    const lines = testModules.flatMap((module) =>
      [...module.children.allTests('skipped')].map((test) => `  ${test.fullName}: ${reasonOf(test)}`),
    )
    if (lines.length > 0) console.log(`\nSkipped tests:\n${lines.join('\n')}`)
  }
}
