// Runs a Jenkinsfile with every step replaced by a record of its call, and prints the calls as JSON.
//
// Arguments: the Jenkinsfile, and a JSON list of situations {env: {...}, exit_codes: {command word: code}}.
// Prints one tree a situation. Closures are entered, `script` and `expression` included; `sh` with
// returnStatus answers with the exit code that the situation gives for a word of its command.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration

class Calls {
  Map situation
  List calls = []

  def methodMissing(String name, Object arguments) {
    List given = (arguments as Object[]).toList()
    Map call = [name: name]
    // What was made for an argument (`string(...)`, `agent()`) belongs to the call, not beside it.
    calls.removeAll { made -> given.any { holds(it, made) } }
    if (given && given.last() instanceof Closure) {
      Calls inner = new Calls(situation: situation)
      Closure body = given.pop().rehydrate(inner, inner, inner)
      body.resolveStrategy = Closure.DELEGATE_ONLY
      def value = body()
      call.body = inner.calls
      if (name == 'expression') call.value = value as boolean
    }
    call.arguments = given
    calls << call
    boolean asked = given && given[0] instanceof Map && given[0].returnStatus
    return asked ? exitCode(given[0].script) : call
  }

  def propertyMissing(String name) {
    name == 'env' ? new HashMap(situation.env) : name  // `none` in `agent none`, `agent` in `agent()`
  }

  void propertyMissing(String name, Object value) {
    calls << [name: name, arguments: [value]]
  }

  private boolean holds(value, made) {
    value.is(made) || (value instanceof Collection && value.any { holds(it, made) }) ||
      (value instanceof Map && value.values().any { holds(it, made) })
  }

  private int exitCode(String script) {
    situation.exit_codes.find { word, code -> script.tokenize().contains(word) }?.value ?: 0
  }
}

def configuration = new CompilerConfiguration(scriptBaseClass: DelegatingScript.name)
def script = new GroovyShell(configuration).parse(new File(args[0]))
println JsonOutput.toJson(new JsonSlurper().parseText(args[1]).collect { situation ->
  Calls recorder = new Calls(situation: situation)
  script.setDelegate(recorder)
  script.run()
  recorder.calls
})
