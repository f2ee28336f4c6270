// Reads lines "EXPRESSION<TAB>ZONE<TAB>UNIX" and answers each with the next firings as Kubernetes's CronJob controller
// computes them: robfig/cron's standard parser on "TZ=<zone> <expression>". "-" where the expression is refused,
// "0" where nothing comes within the library's five years.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

const firings = 4

func main() {
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for ; in.Scan(); out.Flush() {
		parts := strings.Split(in.Text(), "\t")
		expression, err := strconv.Unquote(parts[0])
		if err != nil {
			panic(err)
		}
		if _, err := cron.ParseStandard(expression); err != nil || strings.Contains(expression, "TZ") {
			fmt.Fprintln(out, "-")
			continue
		}
		schedule, err := cron.ParseStandard("TZ=" + parts[1] + " " + expression)
		if err != nil {
			fmt.Fprintln(out, "-")
			continue
		}
		unix, _ := strconv.ParseInt(parts[2], 10, 64)
		at := time.Unix(unix, 0).UTC()
		for i := 0; i < firings; i++ {
			at = schedule.Next(at)
			if at.IsZero() {
				fmt.Fprint(out, "0 ")
				break
			}
			fmt.Fprintf(out, "%d ", at.Unix())
		}
		fmt.Fprintln(out)
	}
}
