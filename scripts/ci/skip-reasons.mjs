/** A vitest reporter that lists the tests that did not run, each with the reason it gave. */
export default class SkipReasons {
  onTestRunEnd(testModules) {
    const lines = testModules.flatMap((module) =>
      [...module.children.allTests('skipped')].map(
        (test) => `  ${test.fullName}: ${test.result().note ?? 'no reason given'}`,
      ),
    )
    if (lines.length > 0) console.log(`\nSkipped tests:\n${lines.join('\n')}`)
  }
}
