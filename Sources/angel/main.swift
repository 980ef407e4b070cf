print("angel")
